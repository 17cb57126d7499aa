//! The control channel: what the agent in a machine is asked, and what it answers.
//!
//! It goes through a port of its own, which no firewall of the machine ever sees.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use portreeve_vm_agent::{Answer, Ended, Hello, Numbered, Request, Run};

/// How much longer than the program itself its end may take to be told.
const GRACE: Duration = Duration::from_secs(20);

/// A conversation with the agent.
#[derive(Debug)]
pub struct Control {
    lines: Lines,
    number: u64,
}

/// A request that is not answered yet.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    number: u64,
    until: Instant,
}

impl Control {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            lines: Lines::new(stream),
            number: 0,
        }
    }

    /// The agent's first word.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn hello(&mut self, within: Duration) -> Result<Hello> {
        let line = self.lines.next(Instant::now() + within)?;
        serde_json::from_str(&line).with_context(|| format!("the agent begins with {line:?}"))
    }

    /// The agent's first word, if it comes until then.
    ///
    /// # Errors
    /// When the machine is gone, or the word is none.
    pub fn greeting(&mut self, until: Instant) -> Result<Option<Hello>> {
        let Some(line) = self.lines.next_until(until)? else {
            return Ok(None);
        };
        let hello = serde_json::from_str(&line);
        hello.with_context(|| format!("the agent begins with {line:?}"))
    }

    /// Asks, without waiting for the answer.
    ///
    /// # Errors
    /// When the machine takes no request.
    pub fn begin(&mut self, request: &Request) -> Result<Pending> {
        self.number += 1;
        let within = match request {
            Request::Run(run) => run.within() + GRACE,
            Request::Connect { within_ms, .. } | Request::Tunnel { within_ms, .. } => {
                Duration::from_millis(*within_ms) + GRACE
            }
            _ => GRACE,
        };
        let request = Numbered {
            number: self.number,
            said: request,
        };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        let sent = self.lines.stream().write_all(&line);
        sent.context("the VM takes no request")?;
        Ok(Pending {
            number: self.number,
            until: Instant::now() + within,
        })
    }

    /// The answer to a request, if it comes until then.
    ///
    /// # Errors
    /// When the time of the request is over, or the agent could not do it.
    pub fn answer(&mut self, pending: &Pending, until: Instant) -> Result<Option<Answer>> {
        loop {
            let Some(line) = self.lines.next_until(until.min(pending.until))? else {
                if Instant::now() >= pending.until {
                    bail!("the agent in the VM does not answer");
                }
                return Ok(None);
            };
            let answer: Numbered<Answer> = serde_json::from_str(&line)?;
            if answer.number != pending.number {
                continue;
            }
            return match answer.said {
                Answer::Failed(why) => bail!("the agent in the VM: {why}"),
                said => Ok(Some(said)),
            };
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When none comes in time, or the agent could not do it.
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        let pending = self.begin(request)?;
        let answer = self.answer(&pending, pending.until)?;
        answer.context("the agent in the VM does not answer")
    }

    /// Runs a program in the machine to its end, however it ends.
    ///
    /// # Errors
    /// When it cannot be started, or takes longer than it may.
    pub fn run(&mut self, run: Run) -> Result<Ended> {
        let what = run.to_string();
        ended(&what, self.ask(&Request::Run(run))?)
    }

    /// Whether the machine is still there; waits until then for its end. What it says is lost.
    pub(super) fn is_open(&mut self, until: Instant) -> bool {
        while Instant::now() < until {
            if self.lines.next_until(until).is_err() {
                return false;
            }
        }
        true
    }
}

/// How a program has ended that the agent was asked to run: what its answer says.
pub(crate) fn ended(what: &str, answer: Answer) -> Result<Ended> {
    match answer {
        Answer::Ended(ended) if ended.timed_out => {
            let Ended { stdout, stderr, .. } = ended;
            bail!("`{what}` does not end; it said: {stdout}{stderr}")
        }
        Answer::Ended(ended) => Ok(ended),
        other => bail!("the agent ran `{what}` and answered {other:?}"),
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lines.stream.as_fd()
    }
}

/// Lines that come out of a socket, each within a time.
#[derive(Debug)]
pub(super) struct Lines {
    stream: UnixStream,
    read: Vec<u8>,
}

impl Lines {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(super) const fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The next line, which must come in time.
    pub(super) fn next(&mut self, until: Instant) -> Result<String> {
        let line = self.next_until(until)?;
        line.context("no answer in time")
    }

    /// The next line, if it comes in time.
    pub(super) fn next_until(&mut self, until: Instant) -> Result<Option<String>> {
        let mut searched = 0;
        loop {
            let end = self.read[searched..].iter().position(|it| *it == b'\n');
            if let Some(end) = end {
                let rest = self.read.split_off(searched + end + 1);
                let line = std::mem::replace(&mut self.read, rest);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            searched = self.read.len();
            let left = until.saturating_duration_since(Instant::now());
            // Zero would mean "for ever".
            let left = left.max(Duration::from_micros(1));
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 1 << 16];
            match (&self.stream).read(&mut buffer) {
                Ok(0) => bail!("QEMU has ended"),
                Ok(length) => self.read.extend_from_slice(&buffer[..length]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error).context("a channel of the VM"),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_comes_late_is_not_taken_for_another() {
        let (mut agent, stream) = UnixStream::pair().unwrap();
        let mut control = Control::new(stream);
        let pending = control.begin(&Request::SettleUdp).unwrap();
        let soon = || Instant::now() + Duration::from_millis(20);
        assert_eq!(control.answer(&pending, soon()).unwrap(), None);
        agent
            .write_all(b"{\"number\":0,\"said\":{\"Failed\":\"old\"}}\n{\"number\":1,")
            .unwrap();
        assert_eq!(control.answer(&pending, soon()).unwrap(), None);
        agent.write_all(b"\"said\":\"Done\"}\n").unwrap();
        let answer = control.answer(&pending, soon()).unwrap();
        assert_eq!(answer, Some(Answer::Done));
    }

    #[test]
    fn what_the_agent_cannot_do_is_an_error_and_so_is_its_end() {
        let (mut agent, stream) = UnixStream::pair().unwrap();
        let mut control = Control::new(stream);
        agent
            .write_all(b"{\"number\":1,\"said\":{\"Failed\":\"no such port\"}}\n")
            .unwrap();
        let error = control.ask(&Request::SettleUdp).unwrap_err();
        assert_eq!(error.to_string(), "the agent in the VM: no such port");
        drop(agent);
        assert!(control.hello(Duration::from_secs(1)).is_err());
    }
}
