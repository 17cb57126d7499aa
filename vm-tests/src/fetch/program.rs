//! Other programs, started without a shell and never waited for longer than they may take.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// What the program wrote to its standard output, after it ended well within `limit`.
pub(super) fn run(command: &mut Command, limit: Duration) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = || format!("failed to run {name}");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(failed)?;
    let deadline = Instant::now() + limit;
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let mut texts = Vec::new();
    for pipe in [stdout, stderr].into_iter().flatten() {
        let Ok(text) = pipe.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            child.kill().with_context(failed)?;
            child.wait().with_context(failed)?;
            bail!("{name} took more than {} s", limit.as_secs());
        };
        texts.push(text);
    }
    let status = child.wait().with_context(failed)?;
    let [stdout, stderr] = texts.try_into().unwrap_or_default();
    ensure!(
        status.success(),
        "{name} failed ({status}): {}",
        stderr.trim()
    );
    Ok(stdout)
}

/// Reads to the end in a thread of its own, so that neither pipe can fill up.
fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks ends what can be known; the status tells the rest.
        let _ = pipe.read_to_end(&mut bytes);
        // Nobody listens after the time limit.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_that_takes_too_long_is_ended() {
        let began = Instant::now();
        let mut command = Command::new("sleep");
        let error = run(command.arg("60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "sleep took more than 0 s");
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn answer_and_complaint_are_told_apart() {
        let limit = Duration::from_secs(20);
        assert_eq!(
            run(Command::new("echo").arg("yes"), limit).unwrap(),
            "yes\n"
        );
        let error = run(Command::new("cat").arg("/nowhere"), limit).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
