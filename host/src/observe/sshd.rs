//! The sockets on which sshd waits for connections.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use procfs::process::{Stat, all_processes};

use crate::guard::Fact;
use crate::session::sockets::{self, Socket};

/// What programs are called that let people in by SSH.
const SSHD: [&str; 2] = ["sshd", "dropbear"];

/// The process that holds the sockets of units until somebody connects.
const INIT: i32 = 1;

/// Where units are described, and what those are called that wait for sshd.
const UNIT_DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const UNITS: [&str; 2] = ["ssh.socket", "sshd.socket"];

/// The sockets on which sshd, or systemd for it, waits for connections, sorted; none where nobody
/// waits.
///
/// Ports that sshd forwards for somebody are not among them: those are held by the process of that
/// session, which is a child of another sshd.
pub(super) fn listening() -> Fact<Vec<SocketAddr>> {
    let sockets = sockets::listening().map_err(|error| error.to_string())?;
    let address = |socket: &Socket| (socket.inode, socket.local);
    let listening: BTreeMap<u64, SocketAddr> = sockets.iter().map(address).collect();
    let mut found = BTreeSet::new();
    let mut hidden = None;
    let mut look = |process: i32, counts: &dyn Fn(&SocketAddr) -> bool| {
        let directory = PathBuf::from(format!("/proc/{process}"));
        match sockets::held_by(&directory) {
            Ok(held) => {
                let sockets = held.iter().filter_map(|inode| listening.get(inode));
                found.extend(sockets.copied().filter(counts));
            }
            // One that has ended holds nothing any more.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => hidden = Some(format!("{}: {error}", directory.display())),
        }
    };
    for process in daemons()? {
        look(process, &|_| true);
    }
    let ports = unit_ports();
    if listening
        .values()
        .any(|socket| ports.contains(&socket.port()))
    {
        look(INIT, &|socket| ports.contains(&socket.port()));
    }
    match hidden {
        Some(why) if found.is_empty() => Err(why),
        Some(_) | None => Ok(found.into_iter().collect()),
    }
}

/// The processes called sshd whose parent is not.
fn daemons() -> Fact<Vec<i32>> {
    let processes = all_processes().map_err(|error| error.to_string())?;
    // One that ends meanwhile is not asked for.
    let stats = processes.filter_map(|process| process.ok()?.stat().ok());
    let stats: BTreeMap<i32, Stat> = stats.map(|stat| (stat.pid, stat)).collect();
    let is_sshd = |stat: &Stat| SSHD.contains(&stat.comm.as_str());
    let daemons = stats.values().filter(|stat| {
        let parent = stats.get(&stat.ppid);
        is_sshd(stat) && !parent.is_some_and(is_sshd)
    });
    Ok(daemons.map(|stat| stat.pid).collect())
}

/// The ports for which the units of sshd wait, whether they are active or not.
fn unit_ports() -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for unit in UNITS {
        for directory in UNIT_DIRS.map(Path::new) {
            let mut files = vec![directory.join(unit)];
            let more = fs::read_dir(directory.join(format!("{unit}.d")));
            files.extend(more.into_iter().flatten().flatten().map(|it| it.path()));
            let texts = files
                .iter()
                .filter_map(|file| fs::read_to_string(file).ok());
            texts.for_each(|text| ports.extend(streams(&text)));
        }
    }
    ports
}

/// The ports of `ListenStream=22`, `ListenStream=0.0.0.0:22`, `ListenStream=[::]:22`.
fn streams(unit: &str) -> Vec<u16> {
    let values = unit.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "ListenStream").then(|| value.trim())
    });
    values
        .filter_map(|value| value.rsplit(':').next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// This process calls itself sshd and waits for connections: the kernel shows it its own.
    #[test]
    fn a_process_called_sshd_that_waits_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let waits = || listening().is_ok_and(|found| found.contains(&address));
        assert!(!waits());
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        fs::write("/proc/self/comm", "sshd").unwrap();
        let found = waits();
        fs::write("/proc/self/comm", name.trim_end()).unwrap();
        assert!(found);
    }

    #[test]
    fn a_unit_says_for_which_ports_it_waits() {
        let unit = "[Socket]\nListenStream=\nListenStream = 22\nListenStream=[::]:22022\n\
                    ListenStream=/run/sshd\nListenStream=192.0.2.1:2222\nListenDatagram=53\n";
        assert_eq!(streams(unit), [22, 22022, 2222]);
    }
}
