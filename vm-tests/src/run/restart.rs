//! Machines that begin with what one before has left on its disk.
//!
//! One that begins is a clone of the template, whose kernel has booted and whose disk nobody has
//! looked at; it mounts that disk, which replays the journal, and runs `portreeve boot`. For what is
//! tested so that is a boot: in the kernel there is no rule, no connection and no set, of the disk it
//! knows what is on it, and no process is left. It is also twenty times as fast as one. What is not
//! tested so is that something calls `portreeve boot`, and when.
//!
//! What is to be done many times from the same point is done by machines that go on where one was
//! kept. Those have not begun anew: rules, mounts and processes are there, and what was not flushed is
//! in the disk's cache.

use anyhow::Result;
use portreeve_vm_agent::Ended;

use super::Session;
use crate::computer::{Computer, Kit};
use crate::disk::Disk;
use crate::file_system;
use crate::operator::portreeve;
use crate::scenario::Machine;
use crate::subject::Subject;
use crate::vm::kept::Kept;

/// What a scenario's machines are made from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Where they stand when they begin.
    pub kit: Kit<'a>,
    /// What becomes of them.
    pub machine: &'a Machine,
}

impl Origin<'_> {
    /// A machine that has this disk, and no rule.
    ///
    /// # Errors
    /// When it does not begin.
    pub fn begin(&self, disk: &Disk) -> Result<Subject> {
        let begun_with = disk.copy();
        let mut subject = Subject::new(self.kit.make(disk)?, self.machine)?;
        subject.begun_with = Some(begun_with);
        Ok(subject)
    }
}

impl Session<'_> {
    /// Ends the machine in an orderly way, and has another begin with its disk.
    pub(super) fn reboot(&mut self) -> Result<()> {
        let disk = self.switch_off()?;
        self.switch_on(&disk)
    }

    /// Ends the machine as one that is told to: what is on its disk then.
    pub(super) fn switch_off(&mut self) -> Result<Disk> {
        self.health()?;
        file_system::unmount(self.subject)?;
        let vm = self.subject.computer.vm()?;
        vm.kill();
        Ok(vm.disk.copy())
    }

    /// Has another machine begin with a disk, which must go well.
    pub(super) fn switch_on(&mut self, disk: &Disk) -> Result<()> {
        let booted = self.boot(disk)?;
        if booted.code != Some(0) {
            self.fail(format!("`portreeve boot` ends badly: {}", said(&booted)));
        }
        Ok(())
    }

    /// Has another machine take the place of this one, and what `portreeve boot` comes to there.
    pub(super) fn boot(&mut self, disk: &Disk) -> Result<Ended> {
        let subject = self.origin.begin(disk)?;
        self.replace(subject);
        file_system::mount(self.subject)?;
        // As `nftables.service` does, after which that of portreeve comes.
        if let Some(others) = &self.origin.machine.others {
            self.load(others)?;
        }
        self.subject.run(portreeve(&["boot"]))
    }

    /// Keeps the machine as it stands, which ends it. Nobody is connected to it.
    pub(super) fn keep(&mut self) -> Result<Kept> {
        self.health()?;
        Kept::of(self.subject.computer.vm()?)
    }

    /// Has another machine take the place of this one, and go on where one was kept.
    pub(super) fn go_on(&mut self, kept: &Kept) -> Result<()> {
        let vm = kept.clone_vm()?;
        let subject = Subject::around(Computer::Vm(vm.into()), self.origin.machine)?;
        self.replace(subject);
        Ok(())
    }

    /// Nothing that was under way with one machine goes on with another.
    fn replace(&mut self, subject: Subject) {
        *self.subject = subject;
        self.connections.clear();
        self.token = None;
    }
}

/// Everything that a program said, and how it ended.
pub(super) fn said(ended: &Ended) -> String {
    let Ended {
        code,
        stdout,
        stderr,
        ..
    } = ended;
    format!("{code:?}, {stdout}{stderr}")
}
