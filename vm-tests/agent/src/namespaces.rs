//! From a process like any other to a machine of its own, which has the kernel of the machine outside
//! and nothing else of it: files, processes, network and users are those of namespaces.
//!
//! The process that is started makes the namespaces and lays the wires of the network cards; the
//! one that it starts is the first in there, and the agent. All is gone when either has ended.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::panic;
use std::path::Path;
use std::process::{self, Command, ExitCode};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{chdir, pivot_root};
use portreeve_vm_agent::{Hello, MACS, NAMESPACES};
use portreeve_wire::cable::move_behind;
use portreeve_wire::handover::{give, take};
use portreeve_wire::links::Card;
use portreeve_wire::namespace;

use crate::archive::unpack;
use crate::boot::{LINKS, OPEN_FILES, SETTINGS, greet};
use crate::{Machine, control};

/// The network cards.
const CARDS: [Card<'_>; 2] = [
    Card {
        name: "eth0",
        hardware_address: MACS[0],
    },
    Card {
        name: "eth1",
        hardware_address: MACS[1],
    },
];

/// Where the machine's files are while it is made. There is such a folder everywhere, and what is in it
/// stays where it is: only this process, and those that it starts, see another one there.
const ROOT: &str = "/tmp";

/// Devices that are those of the machine outside.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// What some kernels limit for all namespaces together unless nothing is subject to it
/// (`icmp_ratemask` in ip-sysctl.rst).
const MORE_SETTINGS: [(&str, &str); 1] = [("ipv4/icmp_ratemask", "0")];

/// Makes the machine, or is its first process.
pub(crate) fn main() -> ExitCode {
    let done = control().and_then(|control| match process::id() {
        1 => serve(&control).map(|never| match never {}),
        _ => make(&control),
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portreeve-vm-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn control() -> io::Result<UnixStream> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(UnixStream::from(stdin))
}

fn make(control: &UnixStream) -> io::Result<ExitCode> {
    namespace::enter_machine()?;
    let wires = move_behind(&CARDS)?;
    let ends: Vec<_> = wires.iter().map(OwnedFd::as_fd).collect();
    give(control, &ends)?;
    drop(wires);
    let own = "/proc/self/exe";
    let ended = Command::new(own).arg(NAMESPACES).status()?;
    Ok(ended
        .code()
        .map_or(ExitCode::FAILURE, |code| (code as u8).into()))
}

/// Makes the machine ready, and does what the harness asks until this process is killed.
fn serve(control: &UnixStream) -> io::Result<Infallible> {
    // The one outside ends with the harness, and this one with it.
    set_pdeathsig(Signal::SIGKILL)?;
    panic::set_hook(Box::new(|panic| {
        eprintln!("portreeve-vm-agent: {panic}");
        process::exit(1);
    }));
    let mut archive = take(control)?.pop().map(File::from);
    let archive = archive.as_mut();
    let archive = archive.ok_or_else(|| io::Error::other("no files were given"))?;
    move_into(archive)?;
    let hello = boot()?;
    let mut machine = Machine::default();
    control::converse(control, &hello, |request| machine.answer(request))
}

/// Moves this process to where there are no files but the machine's own.
fn move_into(archive: &mut File) -> io::Result<()> {
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none)?;
    put("tmpfs", ROOT)?;
    let root = Path::new(ROOT);
    unpack(archive, root)?;
    put("proc", &format!("{ROOT}/proc"))?;
    // Nobody needs it, and not every machine gives it.
    let _ = put("sysfs", &format!("{ROOT}/sys"));
    for device in DEVICES {
        let place = root.join("dev").join(device);
        File::create(&place)?;
        let device = Path::new("/dev").join(device);
        mount(Some(&device), &place, none, MsFlags::MS_BIND, none)?;
    }
    // What is only started says there what it has to say.
    File::create(root.join("dev/console"))?;
    for (path, target) in LINKS {
        symlink(target, root.join(path.trim_start_matches('/')))?;
    }
    // The old root is put where the new one is, and taken away from there (pivot_root(2)).
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

fn put(kind: &str, path: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let put = mount(Some(kind), path, Some(kind), flags, None::<&str>);
    put.map_err(|error| io::Error::other(format!("{kind} cannot be mounted: {error}")))
}

/// Makes the machine ready, as far as it may: what concerns others outside as well stays as it is.
fn boot() -> io::Result<Hello> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let files = most.min(OPEN_FILES);
    setrlimit(Resource::RLIMIT_NOFILE, files, files)?;
    for (name, value) in SETTINGS.into_iter().chain(MORE_SETTINGS) {
        match namespace::set(name, value) {
            Err(error) if !is_outside(&error) => return Err(error),
            _ => {}
        }
    }
    let interfaces = CARDS.map(|card| card.name.to_owned());
    greet(interfaces.to_vec(), Vec::new())
}

/// Whether a setting could not be set because it is none of this machine's.
fn is_outside(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
    )
}
