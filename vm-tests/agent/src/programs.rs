//! Runs programs, and buries every process that ends, for it is a child of the first process sooner
//! or later.
//!
//! One thread waits for all of them; who ran a program hears from it by a pipe, so that poll(2) waits
//! for the program, its output and the end of its time alike.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use portreeve_vm_agent::{Ended, Run};

const PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a pipe holds, so that one read empties it.
const PIPE_BYTES: usize = 64 << 10;

/// The programs that run.
pub(crate) struct Programs(Arc<Running>);

#[derive(Default)]
struct Running {
    /// Held while a program is started: it may end before it is known who waits for it.
    children: Mutex<Children>,
    born: Condvar,
}

#[derive(Default)]
struct Children {
    /// How many there have ever been.
    born: u64,
    /// Who waits for which: the pipe says the exit code, and only closes after a signal.
    awaited: HashMap<Pid, PipeWriter>,
}

impl Default for Programs {
    fn default() -> Self {
        let running = Arc::default();
        let buried = Arc::clone(&running);
        thread::spawn(move || bury(&buried));
        Self(running)
    }
}

impl Programs {
    /// Runs a program to its end, or to the end of its time, when all its group is killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn run(&self, run: &Run) -> io::Result<Ended> {
        let mut command = command(run);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let begun = Instant::now();
        let (mut child, mut end) = self.spawn(&mut command)?;
        let mut talk = Talk::new(&mut child, run.stdin.as_bytes())?;
        let timed_out = !talk.until(&end, begun.checked_add(run.within()))?;
        if timed_out {
            // That it has ended in the meantime is as well.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        }
        let mut code = Vec::new();
        end.read_to_end(&mut code)?;
        let took = begun.elapsed();
        // What it said last; others that it has started may hold the pipes for ever.
        talk.stdout.listen();
        talk.stderr.listen();
        let code = <[u8; 4]>::try_from(code).map(i32::from_ne_bytes);
        Ok(Ended {
            code: code.ok().filter(|_| !timed_out),
            timed_out,
            stdout: talk.stdout.text(),
            stderr: talk.stderr.text(),
            took_us: took.as_micros().try_into().unwrap_or(u64::MAX),
        })
    }

    /// Starts a program and leaves it alone; its output goes to the console.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(&self, run: &Run) -> io::Result<()> {
        let console = OpenOptions::new().write(true).open("/dev/console")?;
        let mut command = command(run);
        command
            .stdin(Stdio::piped())
            .stdout(console.try_clone()?)
            .stderr(console);
        let (mut child, _) = self.spawn(&mut command)?;
        let stdin = child.stdin.take().expect("it is a pipe");
        let text = run.stdin.clone();
        thread::spawn(move || (&stdin).write_all(text.as_bytes()));
        Ok(())
    }

    /// Starts a program; the pipe tells of its end.
    fn spawn(&self, command: &mut Command) -> io::Result<(Child, PipeReader)> {
        let (end, awaiting) = io::pipe()?;
        let mut children = self.0.children.lock().expect("nobody panics with it");
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().display();
            io::Error::other(format!("`{program}` cannot be started: {error}"))
        })?;
        let pid = Pid::from_raw(child.id().cast_signed());
        children.born += 1;
        children.awaited.insert(pid, awaiting);
        self.0.born.notify_one();
        Ok((child, end))
    }
}

fn command(run: &Run) -> Command {
    let mut command = Command::new(&run.program);
    command
        .args(&run.arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(run.environment.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    command
}

/// Waits for every process that ends, and tells who waits for it.
fn bury(running: &Running) {
    let children = || running.children.lock().expect("nobody panics with it");
    loop {
        let known = children().born;
        // It is looked at first, and waited for under the lock: one that could not become the
        // program that it should is waited for where it was started.
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(ended) => {
                let mut children = children();
                let Some(Ok(ended)) = ended.pid().map(|it| waitpid(it, None)) else {
                    continue;
                };
                let awaiting = ended.pid().and_then(|it| children.awaited.remove(&it));
                if let (WaitStatus::Exited(_, code), Some(mut awaiting)) = (ended, awaiting) {
                    // Nobody listens any more to what was only started.
                    let _ = awaiting.write_all(&code.to_ne_bytes());
                }
            }
            Err(Errno::ECHILD) => {
                let none_new = |children: &mut Children| children.born == known;
                let woken = running.born.wait_while(children(), none_new);
                drop(woken.expect("nobody panics with it"));
            }
            Err(errno) => panic!("processes cannot be waited for: {errno}"),
        }
    }
}

/// What is said to a program and what it says.
struct Talk<'a> {
    stdin: Option<ChildStdin>,
    unsaid: &'a [u8],
    stdout: Heard<ChildStdout>,
    stderr: Heard<ChildStderr>,
}

struct Heard<R> {
    from: Option<R>,
    bytes: Vec<u8>,
}

impl<'a> Talk<'a> {
    fn new(child: &mut Child, stdin: &'a [u8]) -> io::Result<Self> {
        let talk = Self {
            stdin: child.stdin.take(),
            unsaid: stdin,
            stdout: Heard::new(child.stdout.take()),
            stderr: Heard::new(child.stderr.take()),
        };
        for pipe in talk.pipes() {
            // The program's own ends are others, and stay as they are.
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(talk)
    }

    /// Goes on until the program has ended; false if the time is up before.
    fn until(&mut self, end: &PipeReader, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            if self.wait(end, left)? {
                return Ok(true);
            }
            self.tell();
            self.stdout.listen();
            self.stderr.listen();
        }
    }

    /// Waits until there is something to do; whether the program has ended.
    fn wait(&self, end: &PipeReader, left: Option<Duration>) -> io::Result<bool> {
        // The last started millisecond is waited for, too.
        let milliseconds = left.map(|it| it.as_millis() + 1);
        let timeout = milliseconds.map_or(PollTimeout::NONE, |it| {
            it.try_into().unwrap_or(PollTimeout::MAX)
        });
        let mut watched = vec![PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        let either = PollFlags::POLLIN | PollFlags::POLLOUT;
        watched.extend(self.pipes().map(|it| PollFd::new(it, either)));
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(watched[0].any().unwrap_or(false)),
            Err(errno) => Err(errno.into()),
        }
    }

    fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let stdin = self.stdin.as_ref().map(AsFd::as_fd);
        let stdout = self.stdout.from.as_ref().map(AsFd::as_fd);
        let stderr = self.stderr.from.as_ref().map(AsFd::as_fd);
        [stdin, stdout, stderr].into_iter().flatten()
    }

    /// Says what the program has room for; it is closed when all is said, or nobody listens.
    fn tell(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(self.unsaid) {
            Ok(length) => self.unsaid = &self.unsaid[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.unsaid = &[],
        }
        if self.unsaid.is_empty() {
            self.stdin = None;
        }
    }
}

impl<R: Read> Heard<R> {
    const fn new(from: Option<R>) -> Self {
        let bytes = Vec::new();
        Self { from, bytes }
    }

    /// Takes what is there.
    fn listen(&mut self) {
        let Some(from) = &mut self.from else { return };
        let mut some = [0; PIPE_BYTES];
        match from.read(&mut some) {
            Ok(length) if length > 0 => self.bytes.extend_from_slice(&some[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => self.from = None,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    /// In one process there can be one only, for it takes all that end.
    static PROGRAMS: LazyLock<Programs> = LazyLock::new(Programs::default);

    fn ended(run: &Run) -> Ended {
        PROGRAMS.run(run).unwrap()
    }

    fn shell(script: &str) -> Run {
        Run::new("/bin/sh", &["-c", script])
    }

    #[test]
    fn programs_end_in_each_way() {
        let check = |script: &str, code: Option<i32>, stdout: &str, stderr: &str| {
            let ended = ended(&shell(script));
            let said = (ended.stdout.as_str(), ended.stderr.as_str());
            assert_eq!((ended.code, said), (code, (stdout, stderr)), "{script}");
            assert!(!ended.timed_out, "{script}");
        };
        check("exit 0", Some(0), "", "");
        check("echo out; echo err >&2; exit 7", Some(7), "out\n", "err\n");
        check("kill -9 $$", None, "", "");
        check(
            "echo $PATH; echo $HOME",
            Some(0),
            &format!("{PATH}\n\n"),
            "",
        );
        check("exec <&-; exec >&-; exec 2>&-; exit 3", Some(3), "", "");
    }

    #[test]
    fn names_are_looked_up_and_what_is_not_there_is_named() {
        assert_eq!(ended(&Run::new("true", &[])).code, Some(0));
        for program in ["no-such-program", "/no/such/program"] {
            let error = PROGRAMS.run(&Run::new(program, &[])).unwrap_err();
            let expected = format!("`{program}` cannot be started: ");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        assert_eq!(PROGRAMS.run(&shell("exit 1")).unwrap().code, Some(1));
    }

    #[test]
    fn much_goes_in_and_out_at_once() {
        let mut run = shell("tee /dev/stderr");
        run.stdin = "0123456789\n".repeat(300_000);
        let ended = ended(&run);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout == run.stdin && ended.stderr == run.stdin);
    }

    #[test]
    fn nobody_need_read_what_is_said_to_him() {
        let mut run = shell("echo bye");
        run.stdin = "x".repeat(1 << 20);
        assert_eq!(ended(&run).stdout, "bye\n");
    }

    #[test]
    fn when_the_time_is_up_the_whole_group_is_killed() {
        let mut run = shell("echo begun; sleep 1000 & echo $!; while :; do echo more; done");
        run.within_ms = 300;
        let ended = ended(&run);
        assert_eq!((ended.code, ended.timed_out), (None, true));
        assert!((300_000..10_000_000).contains(&ended.took_us));
        let mut lines = ended.stdout.lines();
        assert_eq!(lines.next(), Some("begun"));
        // It is gone, or it is still to be waited for by the first process of this machine.
        let stat = format!("/proc/{}/stat", lines.next().unwrap());
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|it| !it.contains(") Z"));
        while alive() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_leaves_another_behind_ends_all_the_same() {
        let ended = ended(&shell("echo mine; sleep 3 & exit 4"));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), "mine\n"));
        assert!(ended.took_us < 3_000_000);
    }
}
