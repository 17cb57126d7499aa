//! A machine that has booted, kept so that others start where it stands.
//!
//! Its memory is a file, of which each clone sees a private copy: what a clone writes is its own
//! (docs/system/vm-templating in QEMU's manual). The rest of its state is some 400 kB.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Vm;
use super::command_line::{Hardware, Memory};
use super::qmp::Moved;
use crate::disk::Disk;

/// How much the disk of a template and of its clones holds.
pub const DISK_BYTES: u64 = 64 << 20;

/// A machine that has booted and stands still.
#[derive(Clone, Debug)]
pub struct Template {
    hardware: Hardware,
    memory: PathBuf,
    state: PathBuf,
}

impl Template {
    /// The template in a folder, made by booting a machine unless it is there already. The folder's
    /// name says what it is of, and nothing else does.
    ///
    /// # Errors
    /// When the machine does not boot or cannot be kept.
    pub fn made_once(hardware: &Hardware, folder: &Path) -> Result<Self> {
        let template = Self {
            hardware: hardware.clone(),
            memory: folder.join("memory"),
            state: folder.join("state"),
        };
        fs::create_dir_all(folder)?;
        // Two programs at once would boot into the same memory; the second one finds it made.
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        if template.state.is_file() {
            return Ok(template);
        }
        let memory = Memory::Shared(template.memory.clone());
        let (mut vm, _) = Vm::boot(hardware, &memory, &Disk::blank(DISK_BYTES))?;
        template
            .keep(&mut vm)
            .context("the VM that has booted cannot be kept")?;
        Ok(template)
    }

    /// What it is made of.
    #[must_use]
    pub const fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    fn keep(&self, vm: &mut Vm) -> Result<()> {
        // Only a state that is whole has its name.
        let unfinished = self.state.with_extension("new");
        let state = File::create(&unfinished)?;
        vm.qmp.execute("stop", &json!({}))?;
        vm.qmp.migrate("migrate", Moved::AllButMemory, &state)?;
        vm.kill();
        fs::rename(&unfinished, &self.state)?;
        Ok(())
    }

    /// A machine of its own that starts where the template stands, with another disk of that size: the
    /// template has never read anything of its own but that there are no partitions.
    ///
    /// # Errors
    /// When QEMU cannot take the state.
    pub fn clone_vm(&self, disk: &Disk) -> Result<Vm> {
        let memory = Memory::CopyOf(self.memory.clone());
        let state = File::open(&self.state).context("the state of a template")?;
        let mut vm = Vm::start(&self.hardware, &memory, disk)?;
        vm.go_on(Moved::AllButMemory, &state)?;
        Ok(vm)
    }
}
