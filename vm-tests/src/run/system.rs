//! A whole system that boots and ends, watched from its card's first frame to its last.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use portreeve_vm_agent::Run;

use super::{Failure, Origin, Session, complaint};
use crate::boot::{self, Watched};
use crate::cold::{self, Change};
use crate::computer::Computer;
use crate::scenario::Case;
use crate::subject::Subject;

impl Session<'_> {
    /// Pulls the plug, if nobody has, and starts the machine anew.
    pub(super) fn start_anew(
        &mut self,
        change: &Change,
        cases: &[Case],
        caught: bool,
    ) -> Result<()> {
        if self.is_on {
            // What is tested here is not what a power cut takes: that is a test of its own.
            self.subject.must_run(Run::new("sync", &[]))?;
            self.health()?;
            self.subject.computer.vm()?.kill();
        }
        let Origin { kit, machine } = self.origin;
        let disk = self.subject.computer.vm()?.disk.copy();
        let (vm, initrd) = cold::start(kit.template()?.hardware(), machine, &disk, change)?;
        *self.subject = Subject::around(Computer::Vm(vm.into()), machine)?;
        self.initrd = Some(initrd);
        self.is_on = true;
        let watched = boot::boot(self.subject, cases)?;
        self.judge_watched("while it booted", watched, caught);
        Ok(())
    }

    /// Has the machine end.
    pub(super) fn end(&mut self, how: &str, cases: &[Case], caught: bool) -> Result<()> {
        self.health()?;
        let watched = boot::end(self.subject, how, cases)?;
        self.is_on = false;
        if let Some(line) = complaint(self.subject.computer.console().lines()) {
            bail!("the VM's kernel complains: {line}");
        }
        self.judge_watched("while it ended", watched, caught);
        Ok(())
    }

    /// Compares what was seen of a machine on its way with the file.
    fn judge_watched(&mut self, when: &str, watched: Watched, caught: bool) {
        self.findings.probes += watched.before + watched.during + watched.after;
        self.findings.told.push(format!("{when}: {watched}"));
        if caught {
            if watched.wrong.is_empty() {
                self.fail(format!(
                    "{when} nobody was answered who may not: nothing was caught"
                ));
            }
            return;
        }
        for (case, observed, _) in &watched.wrong {
            let allowed = BTreeSet::from([case.verdict]);
            let failure = Failure::of(case, *observed, allowed);
            self.findings.failures.extend(failure);
        }
    }
}
