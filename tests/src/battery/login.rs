//! A stand-in for sshd: commands come over TCP, and a process that holds the connection is their
//! ancestor.
//!
//! As under sshd, each connection has a process of its own, a command may run on a terminal, and
//! a connection that ends closes that terminal: its processes get SIGHUP, and then EIO.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::libc::O_NOCTTY;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace::tool;
use crate::program::Run;

/// Where it listens.
pub const PORT: u16 = 22;

/// How long a user waits for anything. Nothing takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a user asks for; one JSON line.
#[derive(Debug, Deserialize, Serialize)]
enum Request {
    /// Say it back.
    Echo(String),
    /// Run a program.
    Run {
        words: Vec<String>,
        terminal: Terminal,
    },
}

/// What a command's input and output are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Terminal {
    /// Pipes, as of `ssh HOST COMMAND`.
    No,
    /// A terminal that it controls, as of `ssh -t`.
    Yes,
}

/// What is answered; one JSON line each.
#[derive(Debug, Deserialize, Serialize)]
enum Reply {
    Echo(String),
    Stdout(String),
    Stderr(String),
    Ended(Option<i32>),
}

/// Listens until it is killed; this program is started again for each connection.
///
/// # Errors
/// When it cannot listen.
pub fn serve() -> io::Result<()> {
    let program = std::env::current_exe()?;
    let listeners = [
        listener((Ipv4Addr::UNSPECIFIED, PORT).into())?,
        listener((Ipv6Addr::UNSPECIFIED, PORT).into())?,
    ];
    // Whoever started this may knock now.
    println!("listening");
    thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(|| {
                for stream in listener.incoming().flatten() {
                    let program = program.clone();
                    thread::spawn(move || welcome(stream, &program));
                }
            });
        }
    });
    Ok(())
}

/// Both families have a socket of their own, so that no address comes as `::ffff:203.0.113.77`.
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that may wait while the server is paused.
const BACKLOG: i32 = 1024;

/// Starts the session as soon as something is said: who only knocks is not worth a process.
fn welcome(stream: TcpStream, program: &Path) {
    if !matches!(stream.peek(&mut [0]), Ok(1..)) {
        return;
    }
    let mut session = Command::new(program);
    let child = session.arg("session").stdin(OwnedFd::from(stream)).spawn();
    // From here on the session holds the connection, and nobody else.
    drop(session);
    drop(child.and_then(|mut child| child.wait()));
}

/// One connection, which is the standard input: serves it until the other side hangs up.
///
/// # Errors
/// When the connection breaks.
pub fn session() -> io::Result<()> {
    let stream = TcpStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let out = Out(Arc::new(Mutex::new(stream.try_clone()?)));
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            Request::Echo(word) => out.say(&Reply::Echo(word)),
            Request::Run { words, terminal } => {
                let out = out.clone();
                // This loop must see the other side hang up while the command runs.
                thread::spawn(move || {
                    let ended = run(&words, terminal, &out);
                    out.say(&Reply::Ended(ended.ok().and_then(|status| status.code())));
                });
            }
        }
    }
    // With this process its end of every pipe and terminal is closed.
    Ok(())
}

/// The connection, which several threads write to.
#[derive(Clone)]
struct Out(Arc<Mutex<TcpStream>>);

impl Out {
    /// Says it, if anybody still listens.
    fn say(&self, reply: &Reply) {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(write_line(&mut *stream, reply));
    }

    /// Passes on everything that `from` says.
    fn pass(&self, mut from: impl Read, wrap: fn(String) -> Reply) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            self.say(&wrap(
                String::from_utf8_lossy(&buffer[..length]).into_owned(),
            ));
        }
    }
}

fn run(words: &[String], terminal: Terminal, out: &Out) -> io::Result<ExitStatus> {
    match terminal {
        Terminal::No => {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).stdin(Stdio::null());
            let mut child: Child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            thread::scope(|scope| {
                scope.spawn(|| out.pass(stdout.expect("piped"), Reply::Stdout));
                out.pass(stderr.expect("piped"), Reply::Stderr);
            });
            child.wait()
        }
        Terminal::Yes => {
            let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let slave: File = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(O_NOCTTY)
                .open(ptsname_r(&master)?)?;
            // `setsid` makes the command the leader of a session whose terminal this is.
            let mut command = Command::new(tool("setsid")?);
            command.arg("--ctty").args(words);
            command
                .stdin(slave.try_clone()?)
                .stdout(slave.try_clone()?)
                .stderr(slave);
            let mut child = command.spawn()?;
            drop(command);
            out.pass(master, Reply::Stdout);
            child.wait()
        }
    }
}

fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// A user's end of a connection.
#[derive(Debug)]
pub struct Session {
    requests: TcpStream,
    replies: BufReader<TcpStream>,
    /// What the command that runs has said so far.
    said: Run,
}

impl Session {
    /// Opens a connection and says something over it, so that its process is there.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let requests = TcpStream::connect_timeout(&address, PATIENCE)?;
        requests.set_read_timeout(Some(PATIENCE))?;
        requests.set_write_timeout(Some(PATIENCE))?;
        let replies = BufReader::new(requests.try_clone()?);
        let mut session = Self {
            requests,
            replies,
            said: Run::default(),
        };
        session.echo("here")?;
        Ok(session)
    }

    /// Says a word there and hears it back.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn echo(&mut self, word: &str) -> io::Result<()> {
        write_line(&mut self.requests, &Request::Echo(word.to_owned()))?;
        loop {
            match self.reply()? {
                Reply::Echo(answer) if answer == word => return Ok(()),
                Reply::Echo(answer) => {
                    return Err(io::Error::other(format!("`{answer}` for `{word}`")));
                }
                other => self.note(other),
            }
        }
    }

    /// Starts a program and does not wait for it.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn start(&mut self, words: &[String], terminal: Terminal) -> io::Result<()> {
        self.said = Run::default();
        let words = words.to_vec();
        write_line(&mut self.requests, &Request::Run { words, terminal })
    }

    /// Waits until what the program has said so far, on either output, makes `look` see something.
    ///
    /// # Errors
    /// When the program ends before.
    pub fn until<T>(&mut self, look: impl Fn(&Run) -> Option<T>) -> io::Result<T> {
        loop {
            if let Some(seen) = look(&self.said) {
                return Ok(seen);
            }
            match self.reply()? {
                Reply::Ended(code) => {
                    let Run { stdout, stderr, .. } = &self.said;
                    let text = format!("it ended with {code:?} and said: {stdout}{stderr}");
                    return Err(io::Error::other(text));
                }
                other => self.note(other),
            }
        }
    }

    /// Waits until the program ends.
    ///
    /// # Errors
    /// When the connection breaks before.
    pub fn finish(&mut self) -> io::Result<Run> {
        loop {
            match self.reply()? {
                Reply::Ended(code) => {
                    self.said.code = code;
                    return Ok(std::mem::take(&mut self.said));
                }
                other => self.note(other),
            }
        }
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn run(&mut self, words: &[String]) -> io::Result<Run> {
        self.start(words, Terminal::No)?;
        self.finish()
    }

    fn note(&mut self, reply: Reply) {
        match reply {
            Reply::Stdout(text) => self.said.stdout += &text,
            Reply::Stderr(text) => self.said.stderr += &text,
            Reply::Echo(_) | Reply::Ended(_) => {}
        }
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// Runs a program over a connection to `address`, with this program's own output: what `ssh` does.
///
/// # Errors
/// When the connection cannot be opened, or breaks.
pub fn login(address: SocketAddr, words: &[String]) -> io::Result<Option<i32>> {
    let run = Session::open(address)?.run(words)?;
    io::stdout().write_all(run.stdout.as_bytes())?;
    io::stderr().write_all(run.stderr.as_bytes())?;
    Ok(run.code)
}

/// Connects to `address` and says back whatever comes from there: a conversation that this machine
/// has begun.
///
/// # Errors
/// When it breaks.
pub fn call(address: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    io::copy(&mut stream.try_clone()?, &mut &stream).map(drop)
}
