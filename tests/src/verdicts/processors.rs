//! Who runs on which processor, and who goes first.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, gettid};

use crate::namespace::tool;

/// The processor of the prober, and that of everything else.
///
/// Where the kernel does not preempt itself, a prober on the processor that commits a rule set
/// would sleep through the very moment it is to watch.
pub(super) fn processors() -> io::Result<(usize, usize)> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let first = usable
        .next()
        .ok_or_else(|| io::Error::other("no processor to run on"))?;
    Ok((first, usable.next_back().unwrap_or(first)))
}

/// Keeps this thread, and the processes that it will start, on one processor.
pub(super) fn stay_on(processor: usize) -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(processor)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

/// Lets this thread run whenever it wants to, if we may: otherwise it must share its processor.
pub(super) fn before_all_others() -> bool {
    let run = |chrt: PathBuf| {
        Command::new(chrt)
            .args(["--fifo", "--pid", "1", &gettid().to_string()])
            .stderr(Stdio::null())
            .status()
    };
    tool("chrt")
        .and_then(run)
        .is_ok_and(|status| status.success())
}
