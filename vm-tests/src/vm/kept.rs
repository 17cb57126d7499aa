//! A machine as it stood at a moment, kept so that others go on from there: its memory, its devices,
//! and its disk with what the write cache held.
//!
//! It can be kept wherever it is, and does not go on itself. What is kept lies in a file without a
//! name, which is gone when nobody has it any more, however a run ends.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::Vm;
use super::command_line::{Hardware, Memory};
use super::qmp::Moved;
use crate::disk::Disk;

/// How long a machine may go on asking things of its disk that nobody has told it to.
const QUIET_WITHIN: Duration = Duration::from_secs(20);

/// A machine that stands still for good, and its disk.
#[derive(Debug)]
pub struct Kept {
    hardware: Hardware,
    state: File,
    disk: Disk,
}

impl Kept {
    /// Keeps a machine, which ends.
    ///
    /// # Errors
    /// When QEMU cannot tell its state.
    pub fn of(vm: &mut Vm) -> Result<Self> {
        let disk = stop(vm)?;
        let state = tempfile::tempfile()?;
        let kept = vm.qmp.migrate("migrate", Moved::Everything, &state);
        kept.map_err(|error| vm.with_console(error.context("the VM cannot be kept")))?;
        vm.kill();
        Ok(Self {
            hardware: vm.hardware.clone(),
            state,
            disk,
        })
    }

    /// A machine of its own that goes on from there, with a disk of its own. So does its clock.
    ///
    /// # Errors
    /// When QEMU cannot take the state.
    pub fn clone_vm(&self) -> Result<Vm> {
        // Opened anew, each reads from the beginning.
        let state = File::open(format!("/proc/self/fd/{}", self.state.as_raw_fd()))?;
        let mut vm = Vm::start(&self.hardware, &Memory::Told, &self.disk.twin())?;
        vm.go_on(Moved::Everything, &state)?;
        Ok(vm)
    }
}

/// Has a machine stand still: its disk as it was then.
///
/// QEMU flushes the disk when it stops, which the machine has not asked for. So the disk is that of
/// a moment before, since when the machine has asked nothing of it.
fn stop(vm: &mut Vm) -> Result<Disk> {
    let until = Instant::now() + QUIET_WITHIN;
    loop {
        let before = asked(vm)?;
        let disk = vm.disk.twin();
        vm.qmp.execute("stop", &json!({}))?;
        if asked(vm)? == before {
            return Ok(disk);
        }
        vm.qmp.execute("cont", &json!({}))?;
        ensure!(Instant::now() < until, "the VM's disk is never left alone");
    }
}

/// How many writes and flushes of the machine itself its disk has done.
fn asked(vm: &mut Vm) -> Result<[u64; 2]> {
    let told = vm.qmp.execute("query-blockstats", &json!({}))?;
    let count = |name: &str| told[0]["stats"][name].as_u64();
    let counts = count("wr_operations").zip(count("flush_operations"));
    let (writes, flushes) = counts.with_context(|| format!("QEMU counts otherwise: {told}"))?;
    Ok([writes, flushes])
}
