//! Network cards whose wires end in another network namespace, at sockets that send and receive whole
//! frames. Unlike [`device`](crate::device) this takes no device file, so any user may do it.

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, ETH_P_ALL, SIOCETHTOOL, sockaddr_ll, socklen_t};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::sockopt::RcvBuf;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket};

use crate::device::request;
use crate::links::{Card, Links};
use crate::namespace;

/// The index of the first wire, beyond what kernels make by themselves in a new namespace.
const FIRST_INDEX: u32 = 1_000;

/// What may wait in a socket, as far as the machine lets it.
const QUEUE_BYTES: usize = 4 << 20;

/// Moves this process, which has no other thread yet, into a new network namespace that has these
/// cards, and gives the other end of each one's wire. Those stay in the namespace that it leaves, where
/// the kernel says nothing by itself: what is on a wire is from the card, or was sent here.
///
/// # Errors
/// When the kernel refuses it; the error says what.
pub fn move_behind(cards: &[Card<'_>]) -> io::Result<Vec<OwnedFd>> {
    let failed = |what: &str, error: &io::Error| io::Error::other(format!("{what}: {error}"));
    match namespace::set("ipv6/conf/default/disable_ipv6", "1") {
        // A kernel without IPv6 says nothing over it.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let outside = File::open(OWN_NAMESPACE)?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    let inside = File::open(OWN_NAMESPACE)?;
    setns(&outside, CloneFlags::CLONE_NEWNET)?;
    let links = Links::open()?;
    let mut wires = Vec::with_capacity(cards.len());
    for (index, card) in (FIRST_INDEX..).zip(cards) {
        let laid = links.cable(index, &format!("wire{index}"), inside.as_fd(), card);
        laid.map_err(|error| failed("no virtual network card can be made (veth)", &error))?;
        links.up(index, None)?;
        let end =
            end(index).map_err(|error| failed("no frames can be sent (packet(7))", &error))?;
        wires.push(end);
    }
    setns(&inside, CloneFlags::CLONE_NEWNET)?;
    for card in cards {
        have_checksums(card.name).map_err(|error| failed("checksums cannot be had", &error))?;
    }
    Ok(wires)
}

const OWN_NAMESPACE: &str = "/proc/self/ns/net";

/// A socket for the frames of an interface.
fn end(index: u32) -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Packet, SockType::Raw);
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&socket, RcvBuf, &QUEUE_BYTES)?;
    // SAFETY: all of `sockaddr_ll` is numbers and arrays of them, for which zero is a value.
    #[expect(unsafe_code, reason = "the C structure has no constructor")]
    let mut address: sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: the address is one of packet(7) with its own size, outlives the call and is only read;
    // the descriptor is open.
    #[expect(unsafe_code, reason = "no crate makes an address of packet(7)")]
    let status = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<sockaddr_ll>() as socklen_t,
        )
    };
    Errno::result(status)?;
    pass_queues_by(&socket)?;
    Ok(socket)
}

/// Has frames go straight to the card. Its queue is set up some time after the other end has come up,
/// and the kernel drops what is sent before, without a word.
fn pass_queues_by(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is read, has the size that is said, and outlives the call; the descriptor is open.
    #[expect(unsafe_code, reason = "no crate has this option")]
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_QDISC_BYPASS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as socklen_t,
        )
    };
    Errno::result(status)?;
    Ok(())
}

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// `ETHTOOL_STXCSUM`.
const SET_CHECKSUMS_BY_CARD: u32 = 0x17;

/// Has the kernel write checksums itself, and so cut frames to size, too: nobody behind a wire of this
/// kind does either.
fn have_checksums(name: &str) -> io::Result<()> {
    let (family, kind) = (AddressFamily::Inet, SockType::Datagram);
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let mut value = EthtoolValue {
        command: SET_CHECKSUMS_BY_CARD,
        data: 0,
    };
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL reads one `ifreq`, which this is, and through it one `ethtool_value`; both
    // outlive the call, and the descriptor is open.
    #[expect(unsafe_code, reason = "no crate has this request")]
    let status = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            SIOCETHTOOL as libc::Ioctl,
            &raw mut request,
        )
    };
    Errno::result(status)?;
    Ok(())
}
