//! QEMU's own control channel (docs/interop/qmp-spec): the few commands that a template needs.

use std::fs::File;
use std::io::{IoSlice, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};

use super::control::Lines;

/// How long QEMU may take for one command.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// What QEMU calls the file with a machine's state.
const STATE: &str = "state";

/// What is moved of a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moved {
    /// All of it.
    Everything,
    /// Everything but the memory, which is in a file.
    AllButMemory,
}

/// A conversation with QEMU.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines,
    greeted: bool,
    /// Whether what was moved has arrived, once that is known.
    migrated: Option<bool>,
}

impl Qmp {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self {
            lines: Lines::new(stream),
            greeted: false,
            migrated: None,
        }
    }

    /// Has QEMU do something, and returns what it answers.
    ///
    /// # Errors
    /// When it refuses or does not answer in time.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        if !self.greeted {
            self.greeted = true;
            self.lines.next(Instant::now() + ANSWERS_WITHIN)?;
            self.execute("qmp_capabilities", &json!({}))?;
        }
        let request = json!({ "execute": command, "arguments": arguments });
        let mut stream = self.lines.stream();
        writeln!(stream, "{request}").context("QEMU takes no command")?;
        self.reply(command)
    }

    /// The answer to a command.
    fn reply(&mut self, command: &str) -> Result<Value> {
        let until = Instant::now() + ANSWERS_WITHIN;
        loop {
            let line = self.lines.next(until)?;
            let mut said: Value = serde_json::from_str(&line)?;
            if let Some(error) = said.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            self.note(&said);
            if let Some(answer) = said.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }

    /// Moves what a machine is out of it into a file, or the other way.
    ///
    /// # Errors
    /// When it fails, or takes longer than a command may.
    pub(super) fn migrate(&mut self, command: &str, moved: Moved, state: &File) -> Result<()> {
        let without_memory = moved == Moved::AllButMemory;
        let capabilities = [("x-ignore-shared", without_memory), ("events", true)];
        let capabilities =
            capabilities.map(|(name, state)| json!({ "capability": name, "state": state }));
        let capabilities = json!({ "capabilities": capabilities });
        self.execute("migrate-set-capabilities", &capabilities)?;
        self.give(state)?;
        self.execute(command, &json!({ "uri": format!("fd:{STATE}") }))?;
        let until = Instant::now() + ANSWERS_WITHIN;
        while self.migrated.is_none() {
            let line = self.lines.next(until)?;
            self.note(&serde_json::from_str(&line)?);
        }
        if self.migrated.take() == Some(false) {
            let status = self.execute("query-migrate", &json!({}))?;
            bail!("QEMU could not move the machine's state: {status}");
        }
        Ok(())
    }

    /// Gives QEMU a file that is open here, so that no path is ever written in its language.
    fn give(&mut self, file: &File) -> Result<()> {
        let request = json!({ "execute": "getfd", "arguments": { "fdname": STATE } });
        let text = format!("{request}\n");
        let sent = sendmsg::<()>(
            self.lines.stream().as_raw_fd(),
            &[IoSlice::new(text.as_bytes())],
            &[ControlMessage::ScmRights(&[file.as_raw_fd()])],
            MsgFlags::empty(),
            None,
        )?;
        if sent < text.len() {
            bail!("QEMU took a part of a command");
        }
        self.reply("getfd").map(drop)
    }

    /// Takes note of an event.
    fn note(&mut self, said: &Value) {
        if said["event"] == "MIGRATION" {
            match said["data"]["status"].as_str() {
                Some("completed") => self.migrated = Some(true),
                Some("failed" | "cancelled") => self.migrated = Some(false),
                _ => {}
            }
        }
    }
}
