//! A kernel that takes a transaction whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_nft::layout::Number;

use super::super::{InKernel, Switch, Trial};

/// The kernel: what its base chains say, and which generations it has the chains of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Kernel {
    pub(super) base: InKernel,
    /// How often the rules of each generation were added.
    pub(super) staged: BTreeMap<Number, u8>,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            base: InKernel::Open,
            staged: BTreeMap::new(),
        }
    }
}

/// What packets meet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Met {
    Nothing,
    Generation(Number),
    /// What others wrote.
    Strange,
}

impl Kernel {
    pub(super) fn met(&self) -> Met {
        match self.base {
            InKernel::Open => Met::Nothing,
            InKernel::Strange => Met::Strange,
            InKernel::Confirmed(number) => Met::Generation(number),
            InKernel::Trial(trial) if trial.running => Met::Generation(trial.candidate),
            InKernel::Trial(trial) => trial.confirmed.map_or(Met::Nothing, Met::Generation),
        }
    }

    /// What is in force for good, or again when the trial ends.
    pub(super) const fn confirmed(&self) -> Option<Number> {
        match self.base {
            InKernel::Open | InKernel::Strange => None,
            InKernel::Confirmed(number) => Some(number),
            InKernel::Trial(trial) => trial.confirmed,
        }
    }

    /// The generation whose trial runs.
    pub(super) const fn on_trial(&self) -> Option<Number> {
        match self.base {
            InKernel::Trial(trial) if trial.running => Some(trial.candidate),
            InKernel::Trial(_) | InKernel::Open | InKernel::Confirmed(_) | InKernel::Strange => {
                None
            }
        }
    }

    pub(super) fn lapse(&mut self) {
        if let InKernel::Trial(trial) = &mut self.base {
            trial.running = false;
        }
    }

    pub(super) fn stage(&mut self, number: Number) {
        *self.staged.entry(number).or_default() += 1;
    }

    pub(super) fn switch(&mut self, switch: Switch, guarded: bool) -> Result<(), ()> {
        let base = match (switch, self.base) {
            (_, InKernel::Strange) => return Err(()),
            (Switch::Trial(candidate), _) => InKernel::Trial(Trial {
                candidate,
                confirmed: self.confirmed(),
                running: true,
            }),
            (Switch::Confirm(number), InKernel::Trial(trial))
                if trial.candidate == number && (trial.running || !guarded) =>
            {
                InKernel::Confirmed(number)
            }
            (Switch::Confirm(_), _) => return Err(()),
            (Switch::To(number), _) => InKernel::Confirmed(number),
            (Switch::Nothing, _) => InKernel::Open,
        };
        // The kernel refuses to lead packets to a chain that is not there.
        let (Switch::Trial(number) | Switch::Confirm(number) | Switch::To(number)) = switch else {
            self.base = base;
            return Ok(());
        };
        if !self.staged.contains_key(&number) {
            return Err(());
        }
        self.base = base;
        Ok(())
    }

    pub(super) fn replace(&mut self, number: Number) {
        self.base = InKernel::Confirmed(number);
        self.staged = BTreeMap::from([(number, 1)]);
    }

    /// Deletes what no base chain leads to.
    pub(super) fn sweep(&mut self) {
        // Nobody knows what a strange base chain leads to.
        if self.base != InKernel::Strange {
            let used = self.led_to();
            self.staged.retain(|number, _| used.contains(number));
        }
    }

    /// What base chains of ours lead to.
    pub(super) fn led_to(&self) -> BTreeSet<Number> {
        let candidate = match self.base {
            InKernel::Trial(trial) => Some(trial.candidate),
            InKernel::Open | InKernel::Confirmed(_) | InKernel::Strange => None,
        };
        self.confirmed().into_iter().chain(candidate).collect()
    }

    /// The same with other numbers, without the generations that get none.
    pub(super) fn renumbered(&self, new: &impl Fn(Number) -> Option<Number>) -> Self {
        let base = match self.base {
            InKernel::Confirmed(number) => new(number).map(InKernel::Confirmed),
            InKernel::Trial(trial) => new(trial.candidate).map(|candidate| {
                InKernel::Trial(Trial {
                    candidate,
                    confirmed: trial.confirmed.and_then(new),
                    ..trial
                })
            }),
            other @ (InKernel::Open | InKernel::Strange) => Some(other),
        };
        let staged = self.staged.iter();
        Self {
            base: base.expect("what packets are led to gets a number"),
            staged: staged
                .filter_map(|(number, count)| Some((new(*number)?, *count)))
                .collect(),
        }
    }
}
