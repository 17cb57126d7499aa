//! Everything that is done to the project: set up, demo, test, fuzz, battery, bench.
//!
//! Each command sets the machine up first. Nothing here needs an answer from a terminal.

mod architecture;
mod fuzz;
mod machine;
mod setup;
mod step;
mod tally;
mod vm;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use architecture::AMD64;
use machine::{MUSL, Machine};
use setup::Needs;
use step::{Ended, cargo};
use tally::Tally;

const USAGE: &str = "usage: cargo xtask COMMAND

  setup     install what demo and test need; without root, print the line to run
  demo      do the main job in a private network namespace, and show who reaches what
  test      run every check and every test (`ci` is the same)
  battery   trials on machines in trouble, commands killed anywhere, probes while rules change;
            release build, half an hour
  bench     measure against nft, release build; `bench proofs`: what proofs cost, alone
  vm        scenarios on real kernels in virtual machines: `vm --kernel K --require NAME…`;
            `vm fetch`, `vm shell`, `vm pairs`: see `vm --help`
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["setup"] => setup(),
        ["demo"] => demo(),
        ["test" | "ci"] => test(),
        ["battery"] => battery(),
        ["bench"] => bench(),
        ["bench", "proofs"] => bench_proofs(),
        ["vm", words @ ..] => vm::run(words),
        ["fuzz", words @ ..] => match fuzz::run(words) {
            Some(ended) => ended,
            None => return misused(),
        },
        _ => return misused(),
    };
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Badly) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn misused() -> ExitCode {
    eprint!("{USAGE}{}", fuzz::USAGE);
    ExitCode::from(2)
}

/// Installs what is missing.
fn setup() -> io::Result<Ended> {
    setup::ensure(Needs::Everything)?;
    println!("everything that demo and test need is there");
    Ok(Ended::Well)
}

/// Loads `strict-origin` into a server in a namespace, and knocks.
fn demo() -> io::Result<Ended> {
    setup::ensure(Needs::Everything)?;
    if cargo(&["build", "--locked", "--workspace", "--bins"]).run()? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    let portreeve = step::built("debug", "portreeve")?;
    step::program(&step::built("debug", "lab")?)
        .arg(&portreeve)
        .arg("strict-origin")
        .run()
}

/// Runs every check, whatever the others say, and sums up.
fn test() -> io::Result<Ended> {
    let machine = setup::ensure(Needs::Toolchain)?;
    let mut tally = Tally::default();
    tally.check("format", cargo(&["fmt", "--all", "--check"]))?;
    let clippy = cargo(&["clippy", "--locked", "--workspace", "--all-targets"]);
    tally.check("clippy", clippy.args(&["--", "--deny", "warnings"]))?;
    let build = cargo(&["build", "--locked", "--workspace", "--bins"]);
    // The whole-program tests run this binary, and must not find an old one.
    match tally.check("build", build)? {
        Ended::Well => {
            let portreeve = step::built("debug", "portreeve")?;
            tally.tests(tests(&machine, &[]).env("PORTREEVE_BIN", &portreeve.to_string_lossy()))?;
        }
        Ended::Badly => {
            tally.leave_out("the whole-program tests: there is no binary to test");
            tally.tests(tests(&machine, &["--exclude", "portreeve-tests"]))?;
        }
    }
    tally.tests(cargo(&["test", "--locked", "--workspace", "--doc"]))?;
    let doc = cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    tally.check("documentation", doc.env("RUSTDOCFLAGS", "--deny warnings"))?;
    print!("{tally}");
    Ok(tally.ended())
}

/// All tests but those in documentation and of what is `excluded`, with what each of them prints.
fn tests(machine: &Machine, excluded: &[&str]) -> step::Step {
    if machine.has_nextest() {
        let nextest = cargo(&["nextest", "run", "--locked", "--workspace"]).args(excluded);
        nextest.args(&["--no-fail-fast", "--success-output", "immediate"])
    } else {
        println!("cargo-nextest is not installed, so the tests run with plain `cargo test`");
        let plain = cargo(&["test", "--locked", "--workspace", "--no-fail-fast"]).args(excluded);
        plain.args(&["--lib", "--bins", "--tests", "--", "--show-output"])
    }
}

/// Runs the battery against the release build, each part whatever the other says.
fn battery() -> io::Result<Ended> {
    let Some(portreeve) = release_and(&["battery", "verdicts"], &[])? else {
        return Ok(Ended::Badly);
    };
    let mut tally = Tally::default();
    for part in ["battery", "verdicts"] {
        tally.check(
            part,
            step::program(&step::built("debug", part)?).arg(&portreeve),
        )?;
    }
    print!("{tally}");
    Ok(tally.ended())
}

/// Measures the release build.
fn bench() -> io::Result<Ended> {
    // The bench evaluates packets itself.
    let Some(portreeve) = release_and(&["bench"], &["--release"])? else {
        return Ok(Ended::Badly);
    };
    let measured = step::program(&step::built("release", "bench")?)
        .arg(&portreeve)
        .run()?;
    if measured == Ended::Badly || bench_proofs()? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    static_binary()
}

/// Measures what proofs cost, beside the start of nft.
fn bench_proofs() -> io::Result<Ended> {
    setup::ensure(Needs::Toolchain)?;
    cargo(&[
        "bench",
        "--locked",
        "--package",
        "portreeve-verify",
        "--bench",
        "proofs",
    ])
    .run()
}

/// Builds the release build and, with these options, the programs that judge it. None when something
/// does not build.
fn release_and(judges: &[&str], options: &[&str]) -> io::Result<Option<PathBuf>> {
    setup::ensure(Needs::Everything)?;
    let release = ["build", "--locked", "--release", "--package", "portreeve"];
    let mut judging = cargo(&["build", "--locked", "--package", "portreeve-tests"]);
    judging = judging.args(options);
    for judge in judges {
        judging = judging.args(&["--bin", judge]);
    }
    for build in [cargo(&release), judging] {
        if build.run()? == Ended::Badly {
            return Ok(None);
        }
    }
    step::built("release", "portreeve").map(Some)
}

/// Builds the static binary and starts it: it has no interpreter, and plans all the same.
fn static_binary() -> io::Result<Ended> {
    setup::ensure_compiler(&AMD64)?;
    let build = [
        "build",
        "--locked",
        "--release",
        "--package",
        "portreeve",
        "--target",
        MUSL,
    ];
    if cargo(&build).run()? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    let portreeve = step::built(&format!("{MUSL}/release"), "portreeve")?;
    let bytes = fs::read(&portreeve)?;
    // Only a program that is linked at its start names who links it (`PT_INTERP`).
    if bytes
        .windows(b"/ld-".len())
        .take(4096)
        .any(|name| name == b"/ld-")
    {
        return Err(io::Error::other(
            "the static binary asks for an interpreter",
        ));
    }
    println!(
        "static binary: {:.2} MB",
        bytes.len() as f64 / f64::from(1 << 20)
    );
    step::program(&portreeve)
        .args(&["plan", "--format", "json"])
        .run()
}
