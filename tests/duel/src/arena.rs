//! A machine for one thread: a network namespace of its own, in a user namespace of its own, with
//! interfaces whose wires this program holds.
//!
//! Whoever runs this is root in there and nowhere else; the machine's own firewall is never met.

use std::io::{self, Write as _};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto,
    setsockopt, socket, sockopt,
};
use portreeve_model::address::Family;
use portreeve_wire::device::{Layer, Wire};
use portreeve_wire::namespace;

use crate::dissect::Dissected;
use crate::observer::SENT_MARK;
use crate::shots::{Entry, Shot};

/// An interface of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Its name.
    pub name: &'static str,
    /// Its index: the order in which they are made, after `lo`.
    pub index: u32,
    /// Its group (`ip link … group`).
    pub group: u32,
    /// What it carries.
    pub layer: Layer,
    /// The networks behind it.
    pub networks: [&'static str; 2],
}

/// Every interface that packets come in by. The names of some begin like those of others.
pub const INTERFACES: [Interface; 4] = [
    interface(
        "eth0",
        2,
        0,
        Layer::Network,
        ["198.18.0.0/16", "2001:db8:18::/48"],
    ),
    interface(
        "eth1",
        3,
        0,
        Layer::Link,
        ["198.19.0.0/16", "2001:db8:19::/48"],
    ),
    interface(
        "eth10",
        4,
        7,
        Layer::Network,
        ["203.0.113.0/24", "2001:db8:203::/48"],
    ),
    interface(
        "wg0",
        5,
        7,
        Layer::Network,
        ["192.0.2.0/24", "2001:db8:192::/48"],
    ),
];

const fn interface(
    name: &'static str,
    index: u32,
    group: u32,
    layer: Layer,
    networks: [&'static str; 2],
) -> Interface {
    Interface {
        name,
        index,
        group,
        layer,
        networks,
    }
}

/// A network that the routing tables lead nowhere on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Barred {
    /// What `ip route` calls that.
    pub kind: &'static str,
    /// What `fib … type` says of it (`RTN_*` in `linux/rtnetlink.h`).
    pub code: u8,
    /// The networks.
    networks: [&'static str; 2],
    /// Their first addresses.
    first: [u128; 2],
}

impl Barred {
    /// Its first address.
    #[must_use]
    pub const fn first(&self, family: Family) -> u128 {
        match family {
            Family::Ip => self.first[0],
            Family::Ip6 => self.first[1],
        }
    }
}

/// Every such network: of 64 addresses of IPv4, and 2^64 of IPv6.
pub const BARRED: [Barred; 3] = [
    Barred {
        kind: "blackhole",
        code: 6,
        networks: ["198.51.100.0/26", "2001:db8:51::/64"],
        first: [0xc633_6400, 0x2001_0db8_0051_0000 << 64],
    },
    Barred {
        kind: "unreachable",
        code: 7,
        networks: ["198.51.100.64/26", "2001:db8:51:1::/64"],
        first: [0xc633_6440, 0x2001_0db8_0051_0001 << 64],
    },
    Barred {
        kind: "prohibit",
        code: 8,
        networks: ["198.51.100.128/26", "2001:db8:51:2::/64"],
        first: [0xc633_6480, 0x2001_0db8_0051_0002 << 64],
    },
];

/// The networks whose every address is one of the machine's own.
pub const LOCAL: [&str; 2] = ["10.0.0.0/18", "fd00::/114"];

/// What the interfaces' own addresses begin with; the position of the interface comes last.
pub const OWN: &str = "10.255.0";
/// The same for IPv6.
pub const OWN6: &str = "fdff";

/// The hardware address of the interface that carries frames.
pub const HARDWARE_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The hardware address of everybody on its wire.
pub const SENDER_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// What the machine forgets or forbids unless it is told: packets from its own addresses, routing,
/// more than a few answers a second, silent interfaces.
const SETTINGS: [(&str, &str); 21] = [
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/accept_local", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_msgs_per_sec", "1000000000"),
    ("ipv4/icmp_msgs_burst", "1000000000"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/icmp/ratelimit", "0"),
    ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
    // A connection is remembered for a day, however long this machine is stopped meanwhile.
    ("netfilter/nf_conntrack_udp_timeout", "86400"),
    ("netfilter/nf_conntrack_udp_timeout_stream", "86400"),
    ("netfilter/nf_conntrack_icmp_timeout", "86400"),
    ("netfilter/nf_conntrack_icmpv6_timeout", "86400"),
    ("netfilter/nf_conntrack_tcp_timeout_syn_sent", "86400"),
    ("netfilter/nf_conntrack_tcp_timeout_syn_recv", "86400"),
    ("netfilter/nf_conntrack_tcp_timeout_unacknowledged", "86400"),
];

/// The machine.
#[derive(Debug)]
pub struct Arena {
    wires: Vec<Wire>,
    /// Sockets that send whole packets, of each family.
    sockets: [OwnedFd; 2],
    conntrack: OwnedFd,
}

impl Arena {
    /// Moves this process, which has no other thread yet, into namespaces of its own, and makes the
    /// machine there.
    ///
    /// # Errors
    /// When the machine outside does not allow it; the error says what is missing.
    pub fn enter() -> io::Result<Self> {
        namespace::enter()?;
        for (name, value) in SETTINGS {
            namespace::set(name, value)?;
        }
        let wires = INTERFACES.iter().map(|it| Wire::lay(it.name, it.layer));
        let wires = wires.collect::<io::Result<_>>()?;
        ip(&links())?;
        Ok(Self {
            wires,
            sockets: [raw(AddressFamily::Inet)?, raw(AddressFamily::Inet6)?],
            conntrack: socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkNetFilter,
            )?,
        })
    }

    /// Has the packet enter the machine.
    ///
    /// # Errors
    /// When the kernel does not take it; it may drop it.
    pub fn fire(&self, shot: &Shot) -> io::Result<()> {
        match shot.entry {
            Entry::Wire(at) => self.wires[at].send(&shot.bytes),
            Entry::Sent => self.send(&shot.bytes),
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(parts) = Dissected::of(bytes) else {
            return Err(io::Error::other("not a packet"));
        };
        let (socket, nothing) = (&self.sockets, MsgFlags::empty());
        let sent = match parts.family {
            Family::Ip => {
                let [a, b, c, d] = (parts.daddr as u32).to_be_bytes();
                sendto(
                    socket[0].as_raw_fd(),
                    bytes,
                    &SockaddrIn::new(a, b, c, d, 0),
                    nothing,
                )
            }
            Family::Ip6 => {
                let to = SocketAddrV6::new(Ipv6Addr::from(parts.daddr), 0, 0, 0);
                sendto(
                    socket[1].as_raw_fd(),
                    bytes,
                    &SockaddrIn6::from(to),
                    nothing,
                )
            }
        };
        match sent {
            // Dropped by a rule.
            Ok(_) | Err(Errno::EPERM) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has conntrack forget every connection of this machine.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn forget_connections(&self) -> io::Result<()> {
        // `nlmsghdr` and `nfgenmsg`: IPCTNL_MSG_CT_DELETE without a word on which.
        let kind: u16 = 1 << 8 | 2;
        let flags: u16 = 1 | 4;
        let mut message = 20_u32.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 12]);
        nix::unistd::write(&self.conntrack, &message)?;
        let mut answer = [0; 64];
        nix::unistd::read(&self.conntrack, &mut answer)?;
        let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        if error == 0 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(-error))
        }
    }
}

/// A socket that sends packets with their headers.
fn raw(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = socket_of(family)?;
    setsockopt(&socket, sockopt::Mark, &SENT_MARK)?;
    Ok(socket)
}

/// `IPPROTO_RAW` has the headers come along, in both families.
fn socket_of(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket(
        family,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Raw,
    )?)
}

/// What `ip` is told. Behind each interface is a router, so that the kernel, whose table of neighbours
/// is one for all namespaces, knows only him.
fn links() -> String {
    let mut lines = String::from("link set lo up\n");
    for it in INTERFACES {
        let Interface { name, group, .. } = it;
        if it.layer == Layer::Link {
            let [a, b, c, d, e, f] = HARDWARE_ADDRESS;
            lines += &format!("link set {name} address {a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}\n");
        }
        lines += &format!("link set {name} group {group} up\n");
        for network in it.networks {
            let router = if network.contains(':') {
                "fe80::1"
            } else {
                "169.254.0.1"
            };
            lines += &format!("route add {network} via {router} dev {name} onlink\n");
        }
    }
    // NAT takes an interface's own address, and drops packets where there is none.
    for (at, it) in INTERFACES.iter().enumerate() {
        lines += &format!("address add {OWN}.{at}/32 dev {name}\n", name = it.name);
        lines += &format!("address add {OWN6}::{at}/128 dev {name}\n", name = it.name);
        // What is for a group on the link is redirected to an address of the link.
        lines += &format!("address add fe80::{}/64 dev {}\n", at + 2, it.name);
    }
    // Answers need an address to come from.
    lines += "address add 10.0.0.1/32 dev lo\naddress add fd00::1/128 dev lo\n";
    for network in LOCAL {
        lines += &format!("route add local {network} dev lo\n");
    }
    for Barred { kind, networks, .. } in BARRED {
        for network in networks {
            lines += &format!("route add {kind} {network}\n");
        }
    }
    lines
}

fn ip(lines: &str) -> io::Result<()> {
    let missing = |error| io::Error::other(format!("ip: {error}; install the package iproute2"));
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    ip.stdin
        .take()
        .expect("piped")
        .write_all(lines.as_bytes())?;
    if ip.wait()?.success() {
        Ok(())
    } else {
        Err(io::Error::other("ip cannot set up the interfaces"))
    }
}
