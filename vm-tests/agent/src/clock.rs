//! The machine's clock: its time of day, and a time that is skipped when there is nothing to do.
//!
//! A machine whose emulator skips idle time would be hours ahead before anybody has asked it
//! anything. One that is never idle is not: a thread that runs only when nobody else wants to keeps
//! it busy, and rests while time is to pass.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{PRIO_PROCESS, setpriority};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// Sets the time of day, to nanoseconds after 1970.
///
/// # Errors
/// When the kernel does not take it.
pub(crate) fn set(nanoseconds: u64) -> io::Result<()> {
    let time = TimeSpec::from_duration(Duration::from_nanos(nanoseconds));
    Ok(clock_settime(ClockId::CLOCK_REALTIME, time)?)
}

/// What keeps the machine from being idle.
#[derive(Default)]
pub(crate) struct Pacemaker(Option<Spinning>);

struct Spinning {
    resting: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Pacemaker {
    /// Keeps the machine busy from now on.
    ///
    /// # Errors
    /// When there is no room for a thread.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        if self.0.is_none() {
            let resting = Arc::<AtomicBool>::default();
            let rests = Arc::clone(&resting);
            let thread = thread::Builder::new().spawn(move || spin(&rests))?;
            self.0 = Some(Spinning { resting, thread });
        }
        Ok(())
    }

    /// Lets time pass, in which the machine may be idle.
    pub(crate) fn pass(&self, time: Duration) {
        if let Some(Spinning { resting, .. }) = &self.0 {
            resting.store(true, Ordering::Relaxed);
        }
        thread::sleep(time);
        if let Some(Spinning { resting, thread }) = &self.0 {
            resting.store(false, Ordering::Relaxed);
            thread.thread().unpark();
        }
    }
}

/// Is busy whenever nobody else is, but while it rests.
fn spin(resting: &AtomicBool) {
    if let Err(errno) = yield_to_everybody() {
        eprintln!("portreeve-vm-agent: what keeps the machine busy is in everybody's way: {errno}");
    }
    loop {
        if resting.load(Ordering::Relaxed) {
            thread::park();
        }
        // Not `spin_loop`: an emulator takes its instruction for being idle.
        for turn in 0..10_000_u32 {
            black_box(turn);
        }
    }
}

/// Has this thread run when no other wants to: on Linux a thread has a priority of its own
/// (setpriority(2), notes).
fn yield_to_everybody() -> Result<(), Errno> {
    const LAST: i32 = 19;
    // SAFETY: only numbers are passed, and 0 names this thread.
    #[expect(unsafe_code, reason = "nix has no safe way to say it")]
    let done = unsafe { setpriority(PRIO_PROCESS, 0, LAST) };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn time_passes_whether_or_not_somebody_keeps_the_machine_busy() {
        let mut pacemaker = Pacemaker::default();
        for _ in 0..2 {
            let begun = Instant::now();
            pacemaker.pass(Duration::from_millis(20));
            assert!(begun.elapsed() >= Duration::from_millis(20));
            pacemaker.start().unwrap();
        }
    }
}
