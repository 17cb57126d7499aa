//! From a bare kernel to a machine that can be tested: file systems, modules, settings.
//!
//! What a kernel does not have is passed over; what it has and refuses is said.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::resource::{Resource, setrlimit};
use portreeve_vm_agent::{BARRIER, Hello};
use portreeve_wire::links::{LOOPBACK, Links};
use portreeve_wire::namespace;

/// Where each kind of file system goes.
const FILE_SYSTEMS: [(&str, &str); 5] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];

/// What programs expect in `/dev` and the kernel does not put there; nft 0.9.8 opens `/dev/stdin`.
pub(crate) const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// The paths of the modules, in the order in which they are loaded.
const MODULES: &str = "/etc/modules";

/// Settings for thousands of probes a second. The limits on ICMP would make rejects look like drops.
/// `tcp_syncookies` stays as it is: with queues of this length no cookie is sent, and without cookies
/// the kernel would drop what comes to a queue that is three quarters full.
pub(crate) const SETTINGS: [(&str, &str); 13] = [
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv4/icmp_msgs_burst", "1000000"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv4/tcp_max_syn_backlog", "65535"),
    ("core/somaxconn", "65535"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    // 256 MiB of memory would have it be 2,048.
    ("netfilter/nf_conntrack_max", "262144"),
];

/// Files that may be open at once: each connection that is served is one.
pub(crate) const OPEN_FILES: u64 = 65_536;

/// Makes the machine ready.
///
/// # Errors
/// When a file system cannot be mounted or loopback cannot be started: no test could run.
pub(crate) fn boot() -> io::Result<Hello> {
    for (kind, path) in FILE_SYSTEMS {
        let named = |error| io::Error::other(format!("{kind} cannot be mounted: {error}"));
        fs::create_dir_all(path).map_err(named)?;
        let flags = MsFlags::empty();
        mount(Some(kind), path, Some(kind), flags, None::<&str>)
            .map_err(|errno| named(errno.into()))?;
    }
    for (path, target) in LINKS {
        symlink(target, path).or_else(unless_there)?;
    }
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)?;
    // Before network cards come, which take what is the default then; and after conntrack has come.
    settle_settings()?;
    let failed_modules = load_modules();
    hello(failed_modules)
}

/// Makes a machine ready that has booted by itself.
///
/// # Errors
/// When it cannot be: no test could run.
pub(crate) fn join() -> io::Result<Hello> {
    hello(Vec::new())
}

/// What there is to say once every module is loaded.
fn hello(failed_modules: Vec<String>) -> io::Result<Hello> {
    settle_settings()?;
    let interfaces = cards()?;
    for card in &interfaces {
        keep_order(card)?;
    }
    greet(interfaces, failed_modules)
}

/// Starts loopback, which has the address of the barrier, and tells of the machine.
pub(crate) fn greet(interfaces: Vec<String>, failed_modules: Vec<String>) -> io::Result<Hello> {
    let links = Links::open()?;
    links.up(LOOPBACK, None)?;
    links.address(BARRIER.into(), LOOPBACK)?;
    Ok(Hello {
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        failed_modules,
        interfaces,
    })
}

fn unless_there(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    }
}

fn settle_settings() -> io::Result<()> {
    for (name, value) in SETTINGS {
        match namespace::set(name, value) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Loads the modules; which of them could not be, with the reason.
fn load_modules() -> Vec<String> {
    let list = fs::read_to_string(MODULES).unwrap_or_default();
    let failed = |path: &str| {
        let error = load(path).err()?;
        Some(format!("{path}: {error}"))
    };
    list.lines().filter_map(failed).collect()
}

fn load(path: &str) -> io::Result<()> {
    const NO_PARAMETERS: &CStr = c"";
    let file = File::open(path)?;
    match finit_module(&file, NO_PARAMETERS, ModuleInitFlags::empty()) {
        Err(Errno::EEXIST) => Ok(()),
        loaded => Ok(loaded?),
    }
}

/// Has a card send everything at once, in the order in which the kernel answers.
///
/// Since Linux 6.11 its driver holds back what is more than a few packets (byte queue limits,
/// `virtnet_poll_tx`), and a queue in which ARP waits behind nobody overtakes what was answered before
/// it: then its answer proves nothing.
fn keep_order(card: &str) -> io::Result<()> {
    let folder = format!("/sys/class/net/{card}/queues/tx-0/byte_queue_limits");
    for limit in ["limit_min", "limit"] {
        match fs::write(format!("{folder}/{limit}"), "max") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The network cards: interfaces with a device behind them.
fn cards() -> io::Result<Vec<String>> {
    let mut cards = Vec::new();
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        if entry.path().join("device").exists() {
            cards.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    cards.sort();
    Ok(cards)
}
