//! A machine under test: a network, processes and a disk of its own, one cable to the world, and a
//! login server on the SSH port.
//!
//! Whoever makes one is the outside: addresses here are those of the cable's other end.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{wait, waitpid};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::battery::login::{PORT, Session};
use crate::battery::world::PROCESSES;
use crate::namespace::{Namespaces, ip_batch, tool};
use crate::program::Run;

/// The machine's addresses.
pub const MACHINE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10)),
];

/// The world's.
pub const WORLD: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x77)),
];

/// The machine's end of the cable, and the world's.
const INTERFACE: &str = "eth0";

/// Bytes of the machine's disk: room for many generations, and soon full.
const DISK: &str = "size=4m,mode=0700";

/// A machine under test. All of its processes end when this is dropped.
#[derive(Debug)]
pub struct Machine {
    unshare: Child,
    init: Pid,
    programs: Programs,
    folder: TempDir,
}

/// What runs on it.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program under test.
    pub portreeve: PathBuf,
    /// The program `battery`, which is the login server and more.
    pub battery: PathBuf,
}

impl Machine {
    /// Boots one, with an empty disk and no rules.
    ///
    /// # Errors
    /// When something of it cannot be made.
    pub fn boot(programs: &Programs) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["state", "cache"] {
            fs::create_dir(folder.path().join(name))?;
        }
        // Empty: what this machine has in `/etc` is never read.
        fs::write(folder.path().join("portreeve.toml"), "")?;
        let namespaces = Namespaces::OF_ROOT;
        let mut unshare = namespaces
            .command(&PROCESSES, &programs.battery)
            .arg("machine")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(unshare.stdout.take().expect("piped")).lines();
        let said = lines.next().transpose()?;
        let machine = Self {
            init: child_of(unshare.id())?,
            unshare,
            programs: programs.clone(),
            folder,
        };
        if said.as_deref() != Some("listening") {
            return Err(io::Error::other("the login server does not listen"));
        }
        machine.lay_cable()?;
        machine.mount(&["-t", "tmpfs", "-o", DISK, "disk"], &machine.path("state"))?;
        // What is told to everybody who logs in is not told to this machine's users.
        machine.mount(&["-t", "tmpfs", "run"], Path::new("/run"))?;
        Ok(machine)
    }

    fn lay_cable(&self) -> io::Result<()> {
        let peer = self.init;
        let world = format!("link add {INTERFACE} type veth peer name {INTERFACE} netns {peer}\n");
        ip_batch(
            &mut Command::new(tool("ip")?),
            &(world + "link set lo up\n" + &addresses(WORLD)),
        )?;
        let lines = format!("link set lo up\n{}", addresses(MACHINE));
        ip_batch(&mut self.command(&tool("ip")?), &lines)
    }

    /// Mounts something, for this machine only.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn mount(&self, arguments: &[&str], at: &Path) -> io::Result<()> {
        let mut mount = self.command(&tool("mount")?);
        succeed(mount.args(arguments).arg(at))
    }

    /// Takes away what was mounted.
    ///
    /// # Errors
    /// When it is in use.
    pub fn unmount(&self, at: &Path) -> io::Result<()> {
        succeed(self.command(&tool("umount")?).arg(at))
    }

    /// A file of this machine, by the path that it has there and here. What is mounted there is
    /// not seen here.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// A file of this machine as it sees it, under a path that can be opened from outside.
    #[must_use]
    pub fn seen(&self, path: &Path) -> PathBuf {
        let path = path.strip_prefix("/").unwrap_or(path);
        Path::new("/proc")
            .join(self.init.to_string())
            .join("root")
            .join(path)
    }

    /// A command at the machine's console: no connection has anything to do with it.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let nsenter = tool("nsenter").unwrap_or_else(|_| "nsenter".into());
        let mut command = Command::new(nsenter);
        command
            .arg(format!("--target={}", self.init))
            .args(["--net", "--mount", "--pid", "--"])
            .arg(program);
        command
    }

    /// A command line of portreeve, with its configuration and directories.
    #[must_use]
    pub fn portreeve(&self, arguments: &[&str]) -> Vec<String> {
        let mut words = vec![self.programs.portreeve.display().to_string()];
        for (option, file) in [
            ("--config", "portreeve.toml"),
            ("--state-dir", "state"),
            ("--cache-dir", "cache"),
        ] {
            words.extend([option.to_owned(), self.path(file).display().to_string()]);
        }
        words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        words
    }

    /// Runs portreeve at the console.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_words(&self.portreeve(arguments))
    }

    /// Runs a command line at the console.
    #[must_use]
    pub fn run_words(&self, words: &[String]) -> Run {
        Run::of(self.command(Path::new(&words[0])).args(&words[1..]))
    }

    /// Logs in over IPv4.
    ///
    /// # Errors
    /// When SSH is not open.
    pub fn login(&self) -> io::Result<Session> {
        Session::open(SocketAddr::new(MACHINE[0], PORT))
    }

    /// A command line of the program `battery`.
    #[must_use]
    pub fn battery(&self, arguments: &[&str]) -> Vec<String> {
        let program = self.programs.battery.display().to_string();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        [program].into_iter().chain(arguments).collect()
    }

    /// The rules that the kernel holds, or none, as nft lists them in JSON.
    #[must_use]
    pub fn listing(&self) -> Option<String> {
        let nft = tool("nft").ok()?;
        let list = ["-j", "list", "table", "inet", portreeve_nft::TABLE];
        let run = Run::of(self.command(&nft).args(list));
        (run.code == Some(0)).then_some(run.stdout)
    }

    /// What a boot from the machine's disk would load, and what was said of it. The machine's own
    /// rules stay what they are.
    #[must_use]
    pub fn boots(&self) -> (Run, Option<String>) {
        let unshare = tool("unshare").unwrap_or_else(|_| "unshare".into());
        let mut command = self.command(&unshare);
        let state = self.path("state").display().to_string();
        let words = self.portreeve(&["boot"]);
        // A boot may write to the disk, and this one has not happened.
        let words = words.iter().map(|word| match word {
            word if *word == state => "/run/copy",
            word => word,
        });
        let script = "rm -rf /run/copy && cp -a \"$0\" /run/copy && \"$@\" >&2 && \
                      nft -j list table inet portreeve";
        let run = Run::of(
            command
                .args(["--net", "--", "/bin/sh", "-c", script, &state])
                .args(words)
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        );
        let listing = (run.code == Some(0)).then(|| run.stdout.clone());
        (run, listing)
    }

    /// Every process of the machine, or those that run portreeve.
    ///
    /// # Errors
    /// When they cannot be told apart.
    pub fn processes(&self, which: Processes) -> io::Result<Vec<Pid>> {
        let own = fs::read_link(format!("/proc/{}/ns/pid", self.init))?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let number = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            let Some(pid) = number.map(Pid::from_raw) else {
                continue;
            };
            // A process that has just ended is none.
            let here = fs::read_link(path.join("ns/pid")).is_ok_and(|space| space == own);
            let program = || fs::read_link(path.join("exe")).unwrap_or_default();
            let counts = match which {
                Processes::All => true,
                Processes::Portreeve => program() == self.programs.portreeve,
            };
            if here && counts {
                found.push(pid);
            }
        }
        Ok(found)
    }

    /// Sends a signal to processes, and says how many there were.
    ///
    /// # Errors
    /// As [`Self::processes`].
    pub fn signal(&self, which: Processes, signal: Signal) -> io::Result<usize> {
        let processes = self.processes(which)?;
        let hit = |pid: &&Pid| kill(**pid, signal).is_ok();
        Ok(processes.iter().filter(hit).count())
    }

    /// Waits until the kernel has ended the trial that runs.
    ///
    /// # Panics
    /// When the kernel's table is none of portreeve's.
    pub fn lapse(&self) {
        let runs = |listing: String| {
            let installed = portreeve_nft::lift_installed(&listing);
            installed.expect("it is portreeve's").trial.is_some()
        };
        // Nothing tells of it: it is looked for.
        while self.listing().is_some_and(runs) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What `portreeve status` says in JSON, at the console.
    ///
    /// # Errors
    /// When it says none.
    pub fn status(&self) -> io::Result<Value> {
        let run = self.run(&["status", "--format", "json"]);
        serde_json::from_str(&run.stdout)
            .map_err(|error| io::Error::other(format!("{error}: {}{}", run.stdout, run.stderr)))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The first process of the machine dies with it, and every other with that.
        drop(self.unshare.kill());
        drop(self.unshare.wait());
        // In a world of its own this process adopts it.
        let _ = waitpid(self.init, None);
    }
}

/// Some of a machine's processes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Processes {
    /// All.
    All,
    /// Those of the program under test.
    Portreeve,
}

/// The first process of a machine: starts the login server and sees every orphan to its end.
///
/// # Errors
/// When the login server cannot be started.
pub fn init() -> io::Result<()> {
    let mut login = Command::new(std::env::current_exe()?);
    let _ends_with_us = login.arg("login-server").spawn()?;
    while wait().is_ok() {}
    Ok(())
}

fn addresses(addresses: [IpAddr; 2]) -> String {
    let [v4, v6] = addresses;
    format!(
        "link set {INTERFACE} up\n\
         address add {v4}/24 dev {INTERFACE}\n\
         address add {v6}/64 dev {INTERFACE} nodad\n"
    )
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let run = Run::of(command);
    if run.code == Some(0) {
        return Ok(());
    }
    Err(io::Error::other(run.stderr.trim().to_owned()))
}

/// The only child of a process.
fn child_of(parent: u32) -> io::Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    let pid = children.trim().parse();
    pid.map(Pid::from_raw).map_err(io::Error::other)
}
