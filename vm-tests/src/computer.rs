//! What a machine under test is: a VM, or namespaces. Whoever tests it need not know which.

use anyhow::{Error, Result, bail};

use crate::disk::Disk;
use crate::namespaces::{self, Namespaces};
use crate::network::card::Card;
use crate::vm::command_line::Clock;
use crate::vm::control::Control;
use crate::vm::template::Template;
use crate::vm::{CARDS, Vm};

/// What machines are made from.
#[derive(Clone, Copy, Debug)]
pub enum Kit<'a> {
    /// A VM that has booted.
    Vm(&'a Template),
    /// The files of a machine of namespaces.
    Namespaces(&'a namespaces::Parts),
}

impl<'a> Kit<'a> {
    /// A machine that runs. Only a VM has a disk.
    ///
    /// # Errors
    /// When it does not begin.
    pub fn make(self, disk: &Disk) -> Result<Computer> {
        Ok(match self {
            Self::Vm(template) => Computer::Vm(template.clone_vm(disk)?.into()),
            Self::Namespaces(parts) => Computer::Namespaces(Namespaces::start(parts)?.into()),
        })
    }

    /// The VM that was kept.
    ///
    /// # Errors
    /// Where there is none.
    pub fn template(self) -> Result<&'a Template> {
        match self {
            Self::Vm(template) => Ok(template),
            Self::Namespaces(_) => bail!(NO_VM),
        }
    }
}

const NO_VM: &str = "a machine of namespaces has no plug, no disk and no clock of its own";

/// A machine under test that runs.
#[derive(Debug)]
pub enum Computer {
    /// With a kernel of its own.
    Vm(Box<Vm>),
    /// With this machine's kernel.
    Namespaces(Box<Namespaces>),
}

impl Computer {
    /// The agent in it.
    pub fn control(&mut self) -> &mut Control {
        match self {
            Self::Vm(vm) => &mut vm.control,
            Self::Namespaces(machine) => &mut machine.control,
        }
    }

    /// Its network cards, once.
    pub fn take_cards(&mut self) -> Option<[Card; CARDS]> {
        match self {
            Self::Vm(vm) => vm.cards.take(),
            Self::Namespaces(machine) => machine.cards.take(),
        }
    }

    /// The VM that it is.
    ///
    /// # Errors
    /// When it is none.
    pub fn vm(&mut self) -> Result<&mut Vm> {
        match self {
            Self::Vm(vm) => Ok(vm),
            Self::Namespaces(_) => bail!(NO_VM),
        }
    }

    /// How its own clock goes; none if it has the one of this machine.
    #[must_use]
    pub const fn clock(&self) -> Option<Clock> {
        match self {
            Self::Vm(vm) => Some(vm.hardware.clock),
            Self::Namespaces(_) => None,
        }
    }

    /// Whether its kernel, with its clock and its messages, is its own and nobody else's.
    #[must_use]
    pub const fn has_own_kernel(&self) -> bool {
        match self {
            Self::Vm(_) => true,
            Self::Namespaces(_) => false,
        }
    }

    /// What it has written on its console so far.
    #[must_use]
    pub fn console(&self) -> String {
        match self {
            Self::Vm(vm) => vm.console(),
            Self::Namespaces(machine) => machine.console(),
        }
    }

    /// The error that ends it, with the last lines of its console.
    #[must_use]
    pub fn with_console(&mut self, error: Error) -> Error {
        match self {
            Self::Vm(vm) => vm.with_console(error),
            Self::Namespaces(machine) => machine.with_console(error),
        }
    }
}
