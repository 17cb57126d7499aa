//! What can happen to a machine while a rule set is on trial.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::battery::login::{Session, Terminal};
use crate::battery::machine::{Machine, Processes};
use crate::namespace::tool;

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// Nothing; the operator is locked out and waits.
    Wait,
    /// The terminal that `apply` runs on is closed.
    HangUp,
    /// `apply` is asked to end.
    Terminate,
    /// Every process of portreeve is killed.
    Kill,
    /// Every process of the machine is paused past the deadline.
    Pause,
    /// The disk is full.
    DiskFull,
    /// The disk can only be read.
    DiskReadOnly,
    /// nft is gone.
    NftRemoved,
}

impl Trouble {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Wait,
        Self::HangUp,
        Self::Terminate,
        Self::Kill,
        Self::Pause,
        Self::DiskFull,
        Self::DiskReadOnly,
        Self::NftRemoved,
    ];

    /// What it is called in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::HangUp => "terminal hang-up",
            Self::Terminate => "SIGTERM",
            Self::Kill => "SIGKILL of all",
            Self::Pause => "paused and resumed",
            Self::DiskFull => "disk full",
            Self::DiskReadOnly => "disk read-only",
            Self::NftRemoved => "nft removed",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.name() == name)
    }

    /// What `apply` runs on.
    #[must_use]
    pub const fn terminal(self) -> Terminal {
        match self {
            Self::HangUp => Terminal::Yes,
            Self::Wait
            | Self::Terminate
            | Self::Kill
            | Self::Pause
            | Self::DiskFull
            | Self::DiskReadOnly
            | Self::NftRemoved => Terminal::No,
        }
    }

    /// Lets it happen; gives back the session that `apply` runs in, if there still is one.
    pub(super) fn strike(self, machine: &Machine, session: Session) -> io::Result<Option<Session>> {
        let signal = |which, signal| match machine.signal(which, signal)? {
            0 => Err(io::Error::other(
                "no process of portreeve is left to be struck",
            )),
            _ => Ok(()),
        };
        match self {
            Self::Wait => {}
            Self::HangUp => return Ok(None),
            Self::Terminate => signal(Processes::Portreeve, Signal::SIGTERM)?,
            Self::Kill => signal(Processes::Portreeve, Signal::SIGKILL)?,
            Self::Pause => signal(Processes::All, Signal::SIGSTOP)?,
            Self::DiskFull => fill(machine)?,
            Self::DiskReadOnly => {
                machine.mount(&["-o", "remount,ro"], &machine.path("state"))?;
            }
            Self::NftRemoved => {
                let nothing = machine.path("nothing");
                File::create(&nothing)?;
                let nothing = nothing.display().to_string();
                machine.mount(&["--bind", &nothing], &nft()?)?;
            }
        }
        Ok(Some(session))
    }

    /// Ends it, so far as the machine's owner could: a paused machine goes on.
    pub(super) fn resume(self, machine: &Machine) -> io::Result<()> {
        match self {
            Self::Pause => machine.signal(Processes::All, Signal::SIGCONT).map(drop),
            Self::Wait
            | Self::HangUp
            | Self::Terminate
            | Self::Kill
            | Self::DiskFull
            | Self::DiskReadOnly
            | Self::NftRemoved => Ok(()),
        }
    }

    /// Repairs what was broken.
    pub(super) fn repair(self, machine: &Machine) -> io::Result<()> {
        match self {
            Self::DiskFull => std::fs::remove_file(filler(machine)),
            Self::DiskReadOnly => machine.mount(&["-o", "remount,rw"], &machine.path("state")),
            Self::NftRemoved => machine.unmount(&nft()?),
            Self::Wait | Self::HangUp | Self::Terminate | Self::Kill | Self::Pause => Ok(()),
        }
    }
}

/// Writes to the disk until nothing more fits.
fn fill(machine: &Machine) -> io::Result<()> {
    let mut file = File::create(filler(machine))?;
    for size in [65_536, 1] {
        let piece = vec![0; size];
        loop {
            match file.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn filler(machine: &Machine) -> PathBuf {
    machine.seen(&machine.path("state")).join("filler")
}

/// The file behind the name: nothing can be mounted over a link.
fn nft() -> io::Result<PathBuf> {
    tool("nft")?.canonicalize()
}
