//! The world around a machine under test: namespaces of this program's own, which end with it.

use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::namespace::Namespaces;

/// Set for a program that is inside.
const INSIDE: &str = "PORTREEVE_WORLD";

/// Everything that ends by itself ends sooner.
const LIMIT: Duration = Duration::from_secs(540);

/// Whether this program is in a world of its own. There it is root of its network, and process 1:
/// every process that it leaves behind is killed with it.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The command that starts this program again with `arguments` in a world of its own.
///
/// # Errors
/// When no world can be made; in one line.
pub fn prepare(arguments: &[&str]) -> io::Result<Command> {
    let namespaces = Namespaces::find().map_err(io::Error::other)?;
    let mut command = namespaces.command(&PROCESSES, &std::env::current_exe()?);
    command.args(arguments).env(INSIDE, "1");
    // Whoever sits at this machine is at the console of the one under test, however he came.
    for way_in in ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "SUDO_USER"] {
        command.env_remove(way_in);
    }
    for multiplexer in ["TMUX", "STY", "ZELLIJ"] {
        command.env_remove(multiplexer);
    }
    Ok(command)
}

/// What `unshare` makes besides a network: processes that end with the first of them.
pub(super) const PROCESSES: [&str; 5] =
    ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Whether a test may run here: true in a world of its own. Where it started it is false, once the
/// test has ended well there.
///
/// # Panics
/// When the test failed there.
#[must_use]
pub fn test_runs_inside(test: &str) -> bool {
    if is_inside() {
        end_after(LIMIT);
        return true;
    }
    let output = match prepare(&["--exact", test, "--nocapture", "--test-threads=1"]) {
        Ok(mut command) => command.stdin(Stdio::null()).output(),
        Err(reason) => {
            eprintln!("skipped: no world of its own can be made: {reason}");
            return false;
        }
    };
    let output = output.expect("this program starts again");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    eprint!("{stderr}");
    // A name that is wrong selects no test, which is no failure to the test's runner.
    let passed = output.status.success() && stdout.contains("1 passed");
    assert!(passed, "{test}: {}: {stdout}", output.status);
    false
}

/// Ends this program, and with it its world, if it still runs after `limit`.
pub fn end_after(limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        eprintln!("not done after {} s", limit.as_secs());
        std::process::exit(124);
    });
}
