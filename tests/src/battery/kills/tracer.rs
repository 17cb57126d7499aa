//! Runs a command under `ptrace` and kills it at its n-th system call.
//!
//! What it starts is traced as well and counted apart. Who has been killed leaves orphans, which
//! run to their end: when a run is over, nothing of it is left.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The instant at which a command is killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instance {
    /// Never.
    Never,
    /// As it begins its n-th system call.
    OwnCall(usize),
    /// As what it has started begins its n-th system call, all of them counted together.
    ChildCall(usize),
    /// So long after its start, running at full speed.
    Time(Duration),
}

/// Who is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Victims {
    /// The command; what it has started goes on.
    Command,
    /// The command and everything that it has started.
    All,
}

/// A run that is over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traced {
    /// System calls of the command, all threads together.
    pub(super) own_calls: usize,
    /// System calls of everything that it has started.
    pub(super) child_calls: usize,
    /// Whether it was killed before it ended by itself.
    pub(super) killed: bool,
}

/// Runs a command line until nothing is left of it, and kills it when it is time. `battery` is
/// this project's program of that name.
///
/// Everything that this process has started besides must have ended.
pub(super) fn run(
    battery: &Path,
    words: &[String],
    instance: Instance,
    victims: Victims,
) -> io::Result<Traced> {
    match instance {
        Instance::Time(after) => timed(words, after, victims),
        Instance::Never | Instance::OwnCall(_) | Instance::ChildCall(_) => {
            Tracer::start(battery, words, instance, victims)?.follow()
        }
    }
}

/// Becomes the command `words`, traced by the process that has started this one.
///
/// # Errors
/// When it cannot.
pub fn traced(words: &[String]) -> io::Result<()> {
    ptrace::traceme()?;
    Err(Command::new(&words[0]).args(&words[1..]).exec())
}

fn spawn(command: &mut Command) -> io::Result<Pid> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Whoever waits for everybody waits for this one too.
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok(Pid::from_raw(pid))
}

fn timed(words: &[String], after: Duration, victims: Victims) -> io::Result<Traced> {
    let command = spawn(Command::new(&words[0]).args(&words[1..]))?;
    thread::sleep(after);
    // Nobody has waited for it yet, so that its number is still its own.
    let status = waitpid(command, Some(WaitPidFlag::WNOHANG))?;
    let killed = matches!(status, WaitStatus::StillAlive);
    if killed {
        if victims == Victims::All {
            kill_others()?;
        }
        // It may have ended this very moment.
        let _ = kill(command, Signal::SIGKILL);
    }
    wait_for_all()?;
    Ok(Traced {
        killed,
        ..Traced::default()
    })
}

/// Kills every process of this namespace but its first, which this is.
pub(super) fn kill_others() -> io::Result<()> {
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = pid.filter(|pid| *pid != 1) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    Ok(())
}

/// Waits until no process is left that this one, or an orphan's parent, has started.
pub(super) fn wait_for_all() -> io::Result<()> {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A thread that is traced.
struct Tracee {
    /// Whether it belongs to the command itself.
    own: bool,
    /// Whether it is inside a system call: it stops at both ends of each.
    in_call: bool,
}

struct Tracer {
    command: Pid,
    instance: Instance,
    victims: Victims,
    tracees: HashMap<Pid, Tracee>,
    traced: Traced,
}

impl Tracer {
    fn start(
        battery: &Path,
        words: &[String],
        instance: Instance,
        victims: Victims,
    ) -> io::Result<Self> {
        let command = spawn(Command::new(battery).arg("traced").args(words))?;
        // It stops when it has become the command.
        waitpid(command, None)?;
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::setoptions(command, options)?;
        ptrace::syscall(command, None)?;
        Ok(Self {
            command,
            instance,
            victims,
            tracees: HashMap::new(),
            traced: Traced::default(),
        })
    }

    fn follow(mut self) -> io::Result<Traced> {
        loop {
            let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    self.count(pid)?;
                    (pid, None)
                }
                Ok(WaitStatus::PtraceEvent(pid, ..)) => (pid, None),
                Ok(WaitStatus::Stopped(pid, signal)) => {
                    // A new thread begins with a stop that nobody has sent.
                    let known = self.tracees.contains_key(&pid);
                    let sent = known || signal != Signal::SIGSTOP;
                    (pid, sent.then_some(signal))
                }
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                    self.tracees.remove(&pid);
                    continue;
                }
                Ok(WaitStatus::Continued(_) | WaitStatus::StillAlive) | Err(Errno::EINTR) => {
                    continue;
                }
                Err(Errno::ECHILD) => return Ok(self.traced),
                Err(error) => return Err(error.into()),
            };
            self.tracees.entry(pid).or_insert_with(|| Tracee {
                own: belongs(pid, self.command),
                in_call: false,
            });
            // What is left needs no counting. Whoever is killed already cannot be told to go on.
            let _ = if self.traced.killed {
                ptrace::cont(pid, signal)
            } else {
                ptrace::syscall(pid, signal)
            };
        }
    }

    /// Counts a system call that begins, and kills when it is time.
    fn count(&mut self, pid: Pid) -> io::Result<()> {
        let command = self.command;
        let tracee = self.tracees.entry(pid).or_insert_with(|| Tracee {
            own: belongs(pid, command),
            in_call: false,
        });
        tracee.in_call = !tracee.in_call;
        if !tracee.in_call || self.traced.killed {
            return Ok(());
        }
        let calls = if tracee.own {
            &mut self.traced.own_calls
        } else {
            &mut self.traced.child_calls
        };
        *calls += 1;
        let due = match self.instance {
            Instance::OwnCall(number) => tracee.own && *calls == number,
            Instance::ChildCall(number) => !tracee.own && *calls == number,
            Instance::Never | Instance::Time(_) => false,
        };
        if due {
            if self.victims == Victims::All {
                kill_others()?;
            }
            self.traced.killed = kill(self.command, Signal::SIGKILL).is_ok();
        }
        Ok(())
    }
}

/// Whether a thread belongs to a process.
fn belongs(thread: Pid, process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    group.is_some_and(|group| group.trim() == process.to_string())
}
