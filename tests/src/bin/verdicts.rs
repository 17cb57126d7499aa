//! Asks a machine 2,000 times a second for each class of packet whether it comes in, while its
//! rules change, and prints what was wrong.
//!
//! ```text
//! verdicts PORTREEVE [--references | --cell JSON]...
//! ```
//!
//! Without a choice it runs the battery. It exits with 1 when a verdict was wrong, and with 2 when
//! the prober could not keep up.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use portreeve_tests::verdicts::{self, Cell, List, Programs, Row};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["inside", cell, block_list] => inside(cell, Path::new(block_list)),
        [portreeve, choices @ ..] => {
            cells(choices).and_then(|cells| outside(Path::new(portreeve), &cells))
        }
        [] => Err(io::Error::other(
            "usage: verdicts PORTREEVE [--references | --cell JSON]...",
        )),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("verdicts: {error}");
        ExitCode::FAILURE
    })
}

fn inside(cell: &str, block_list: &Path) -> io::Result<ExitCode> {
    let row = verdicts::serve(&serde_json::from_str(cell)?, block_list)?;
    serde_json::to_writer(io::stdout().lock(), &row)?;
    Ok(ExitCode::SUCCESS)
}

fn cells(choices: &[&str]) -> io::Result<Vec<Cell>> {
    match choices {
        [] => Ok(verdicts::battery()),
        ["--references"] => Ok(verdicts::references()),
        _ => choices
            .chunks(2)
            .map(|choice| match choice {
                ["--cell", json] => Ok(serde_json::from_str(json)?),
                _ => Err(io::Error::other(format!("what is {choice:?}?"))),
            })
            .collect(),
    }
}

fn outside(portreeve: &Path, cells: &[Cell]) -> io::Result<ExitCode> {
    let me = std::env::current_exe()?;
    let folder = tempfile::tempdir()?;
    let block_list = folder.path().join("block_list.wasm");
    if cells.iter().any(|cell| cell.list == List::Block) {
        verdicts::build_block_list(&block_list)?;
    }
    let programs = Programs {
        portreeve,
        verdicts: &me,
        block_list: &block_list,
    };
    let mut rows = Vec::new();
    for cell in cells {
        rows.push(verdicts::run(programs, cell)?);
        // Each as soon as it is there: a run takes minutes.
        let text = verdicts::table(&rows[rows.len() - 1..]);
        io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(exit_code(&rows))
}

fn exit_code(rows: &[Row]) -> ExitCode {
    if !rows.iter().all(Row::is_right) {
        ExitCode::FAILURE
    } else if rows.iter().all(Row::kept_up) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    }
}
