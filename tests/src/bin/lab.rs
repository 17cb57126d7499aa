//! The lab: applies a policy in a private network namespace and shows who reaches what.
//!
//! ```text
//! lab PORTREEVE POLICY [KEY=VALUE]... [--json]
//! ```
//!
//! It starts itself again twice: as `server` in the namespace that gets the rules, and that one
//! as `client` in the namespace that knocks.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use portreeve_tests::lab::{self, Paint, Subject};
use portreeve_tests::namespace::Namespaces;

/// What `lab` exits with where namespaces are forbidden.
const SKIPPED: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["client"] => lab::serve_client().map(|()| ExitCode::SUCCESS),
        ["server", portreeve, policy, rest @ ..] => server(portreeve, policy, rest),
        [_, _, ..] => outside(&arguments),
        _ => Err(io::Error::other(
            "usage: lab PORTREEVE POLICY [KEY=VALUE]... [--json]",
        )),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("lab: {error}");
        ExitCode::FAILURE
    })
}

/// Starts the server in a namespace of its own.
fn outside(arguments: &[String]) -> io::Result<ExitCode> {
    let namespaces = match Namespaces::find() {
        Ok(namespaces) => namespaces,
        Err(reason) => {
            eprintln!("lab: skipped, no network namespace with nftables can be made: {reason}");
            return Ok(ExitCode::from(SKIPPED));
        }
    };
    let mut command: Command = namespaces.command(&[], &std::env::current_exe()?);
    let status = command.arg("server").args(arguments).status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn server(portreeve: &str, policy: &str, rest: &[&str]) -> io::Result<ExitCode> {
    let settings: Vec<String> = rest
        .iter()
        .filter(|word| **word != "--json")
        .map(|word| (*word).to_owned())
        .collect();
    let subject = Subject::new(Path::new(portreeve), policy, &settings)?;
    let report = lab::run(policy, &subject)?;
    let mut out = io::stdout().lock();
    if rest.contains(&"--json") {
        serde_json::to_writer(&mut out, &report)?;
    } else {
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let paint = if colour { Paint::Colour } else { Paint::Plain };
        write!(out, "{}", report.text(paint))?;
    }
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
