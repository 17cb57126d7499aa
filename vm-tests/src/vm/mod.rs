//! A virtual machine: QEMU, and the wires that only this process holds.
//!
//! Network cards, control channel and QEMU's own console are inherited sockets, so there are no
//! files, names or ports that anybody else could meet. Every wait has a limit. The machine is gone
//! when its [`Vm`] is.

pub mod command_line;
pub mod control;
pub mod emulator;
pub mod kept;
pub mod qmp;
pub mod template;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use portreeve_vm_agent::Hello;
use serde_json::json;

use crate::disk::Disk;
use crate::network::card::Card;
use command_line::{Hardware, Memory, Wires};
use control::Control;
use qmp::{Moved, Qmp};

/// How long a machine may take from its start to its first word.
pub const BOOTS_WITHIN: Duration = Duration::from_secs(90);

/// Network cards of every machine.
pub const CARDS: usize = 2;

/// A virtual machine that runs.
#[derive(Debug)]
pub struct Vm {
    qemu: Child,
    console: Console,
    /// What it is made of.
    pub hardware: Hardware,
    /// Its network cards, in the order of its interfaces.
    pub cards: Option<[Card; CARDS]>,
    /// The agent in it.
    pub control: Control,
    /// QEMU itself.
    pub qmp: Qmp,
    /// Its disk.
    pub disk: Disk,
}

impl Vm {
    /// Starts a machine with a disk, and waits until its agent speaks.
    ///
    /// # Errors
    /// When it does not, with the end of what its console says.
    pub fn boot(hardware: &Hardware, memory: &Memory, disk: &Disk) -> Result<(Self, Hello)> {
        let mut vm = Self::start(hardware, memory, disk)?;
        match vm.control.hello(BOOTS_WITHIN) {
            Ok(hello) => Ok((vm, hello)),
            Err(error) => Err(vm.with_console(error.context("the VM does not boot"))),
        }
    }

    /// Starts QEMU.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(hardware: &Hardware, memory: &Memory, disk: &Disk) -> Result<Self> {
        let [control, qmp, first, second] = [pair()?, pair()?, pair()?, pair()?];
        let blocks = pair()?;
        let wires = Wires {
            control: control.1.as_raw_fd(),
            qmp: qmp.1.as_raw_fd(),
            cards: [first.1.as_raw_fd(), second.1.as_raw_fd()],
            disk: blocks.1.as_raw_fd(),
        };
        let given = [control.1, qmp.1, first.1, second.1, blocks.1];
        let mut command = Command::new(&hardware.emulator);
        command
            .args(command_line::arguments(hardware, memory, &wires))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        inherit(&mut command, &given);
        let started = command.spawn();
        let mut qemu =
            started.with_context(|| format!("cannot start {}", hardware.emulator.display()))?;
        drop(given);
        // QEMU does not go on before it knows its disk; what goes wrong there it tells itself.
        disk.serve(blocks.0);
        let console = Console::default();
        console.collect(qemu.stdout.take());
        console.collect(qemu.stderr.take());
        Ok(Self {
            qemu,
            console,
            hardware: hardware.clone(),
            cards: Some([Card::new(first.0)?, Card::new(second.0)?]),
            control: Control::new(control.0),
            qmp: Qmp::new(qmp.0),
            disk: disk.clone(),
        })
    }

    /// Has it, which has only been started, go on from the state of another.
    fn go_on(&mut self, moved: Moved, state: &File) -> Result<()> {
        let taken = self.qmp.migrate("migrate-incoming", moved, state);
        let goes_on = taken.and_then(|()| self.qmp.execute("cont", &json!({})));
        match goes_on {
            Ok(_) => Ok(()),
            Err(error) => Err(self.with_console(error.context("the VM does not go on"))),
        }
    }

    /// What the machine and QEMU have written so far.
    #[must_use]
    pub fn console(&self) -> String {
        self.console.text()
    }

    /// The error, with the last lines of the console.
    #[must_use]
    pub fn with_console(&self, error: anyhow::Error) -> anyhow::Error {
        self.console.add_to(error)
    }

    /// Whether the machine has turned itself off, which it may do until then.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn has_ended(&mut self, until: Instant) -> Result<bool> {
        // QEMU closes its end of the control channel when it ends.
        if self.control.is_open(until) {
            return Ok(false);
        }
        self.qemu.wait()?;
        Ok(true)
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        // It is gone already, or it goes now.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Both ends of a wire.
pub(crate) fn pair() -> Result<(UnixStream, UnixStream)> {
    UnixStream::pair().context("no more sockets")
}

/// Has a program keep sockets that would be closed for it, and end when we do.
pub(crate) fn inherit(command: &mut Command, sockets: &[UnixStream]) {
    let numbers: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    let keep = move || {
        for number in &numbers {
            // SAFETY: the sockets are open until the program has started: `start` drops them after
            // that.
            #[expect(unsafe_code, reason = "between fork and exec there are only numbers")]
            let socket = unsafe { BorrowedFd::borrow_raw(*number) };
            fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        set_pdeathsig(Signal::SIGKILL)?;
        Ok(())
    };
    // SAFETY: the closure allocates nothing and calls fcntl(2) and prctl(2) only, both of which
    // signal-safety(7) allows or which are plain system calls.
    #[expect(
        unsafe_code,
        reason = "nothing else runs in the child before it is QEMU"
    )]
    unsafe {
        command.pre_exec(keep);
    }
}

/// What comes out of a machine's serial port and of QEMU.
#[derive(Clone, Debug, Default)]
pub(crate) struct Console(Arc<Mutex<Vec<u8>>>);

/// What is kept of it.
const CONSOLE_BYTES_MAX: usize = 1 << 20;

impl Console {
    /// Keeps everything that comes out of a pipe, on a thread that ends with it.
    pub(crate) fn collect(&self, pipe: Option<impl Read + Send + 'static>) {
        let Some(mut pipe) = pipe else { return };
        let kept = Arc::clone(&self.0);
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < CONSOLE_BYTES_MAX {
                    kept.extend_from_slice(&buffer[..length]);
                }
            }
        });
    }

    /// The error, with the last lines that came.
    pub(crate) fn add_to(&self, error: anyhow::Error) -> anyhow::Error {
        const LINES: usize = 25;
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        match last {
            [] => error.context("its console is empty"),
            last => {
                let said: String = last.iter().map(|line| format!("\n    {line}")).collect();
                anyhow::anyhow!("{error:#}; its console ends:{said}")
            }
        }
    }

    /// As people can read it: without what moves a cursor.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        text.chars()
            .filter(|it| *it == '\n' || !it.is_control())
            .collect()
    }
}
