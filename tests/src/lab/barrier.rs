//! Proof that nothing is on the way any more, so that silence means "dropped".
//!
//! Server and client are bound to one processor, where the two ends of a veth pair hand packets to
//! each other through one queue, first in, first out; the kernel answers TCP, ICMP and ARP while it
//! empties that queue. An ARP request therefore comes back after everything that was sent before
//! it has been judged and answered. Tables of the family `inet` never see ARP.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{LinkAddr, bind};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

/// Round trips: a neighbour may have to be resolved on each side before the answer can go.
const ROUND_TRIPS: usize = 5;

/// How long a lost barrier is waited for. Reaching it is an error, never a verdict.
const PATIENCE: Duration = Duration::from_secs(20);

const ETHERTYPE_ARP: u16 = 0x0806;
const ARP_REQUEST: u8 = 1;
const ARP_REPLY: u8 = 2;

/// Keeps this process on the first processor that it may use.
pub(super) fn stay_on_one_processor() -> io::Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(first.ok_or_else(|| io::Error::other("no processor to run on"))?)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

/// Returns once the kernel has dealt with everything sent through `interface` before. `asker` is
/// an address that nobody else uses; `server` answers.
pub(super) fn pass(interface: &str, asker: Ipv4Addr, server: Ipv4Addr) -> io::Result<()> {
    let link = link_address(interface)?;
    let mac = link.addr().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let protocol = Protocol::from(i32::from(ETHERTYPE_ARP.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
    bind(socket.as_raw_fd(), &link)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let request = request(mac, asker, server);
    for _ in 0..ROUND_TRIPS {
        socket.send(&request)?;
        wait_for_reply(&socket, asker)?;
    }
    Ok(())
}

fn link_address(interface: &str) -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::other(format!("no interface {interface}")))
}

/// An Ethernet frame: who has `server`? Tell `asker`.
pub(crate) fn request(mac: [u8; 6], asker: Ipv4Addr, server: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend([0xff; 6]);
    frame.extend(mac);
    frame.extend(ETHERTYPE_ARP.to_be_bytes());
    // Ethernet, IPv4, and the length of an address of each.
    frame.extend([0, 1, 8, 0, 6, 4, 0, ARP_REQUEST]);
    frame.extend(mac);
    frame.extend(asker.octets());
    frame.extend([0; 6]);
    frame.extend(server.octets());
    frame
}

fn wait_for_reply(mut socket: &Socket, asker: Ipv4Addr) -> io::Result<()> {
    let mut frame = [0; 64];
    loop {
        let length = io::Read::read(&mut socket, &mut frame)?;
        let is_reply = length >= 42 && frame[21] == ARP_REPLY && frame[38..42] == asker.octets();
        if is_reply {
            return Ok(());
        }
    }
}
