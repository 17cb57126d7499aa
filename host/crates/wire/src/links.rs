//! Has the kernel set up the interfaces of a network namespace, by the few messages of rtnetlink
//! that this takes.
//!
//! Numbers are those of `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h` and `linux/if.h`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use portreeve_model::address::{Family, Prefix};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
/// `NLM_F_REQUEST`, `NLM_F_ACK`, and `NLM_F_CREATE` for what may be new.
const FLAGS: u16 = 0x1 | 0x4 | 0x400;
const NLMSG_ERROR: u16 = 2;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// `VETH_INFO_PEER` in `linux/veth.h`.
const VETH_INFO_PEER: u16 = 1;
const IFLA_NET_NS_FD: u16 = 28;
const IFF_UP: u32 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

/// `RT_TABLE_LOCAL`, `RTPROT_BOOT`, `RT_SCOPE_HOST`, `RTN_LOCAL`.
const TO_THIS_MACHINE: [u8; 4] = [255, 3, 254, 2];

/// `RT_TABLE_MAIN`, `RTPROT_BOOT`, `RT_SCOPE_UNIVERSE`, `RTN_UNICAST`.
const TO_OTHERS: [u8; 4] = [254, 3, 0, 1];

/// `RTNH_F_ONLINK`: the gateway is there, whatever the networks of the interface say.
const ONLINK: u32 = 4;

/// `IFA_F_NODAD`: nobody is asked first whether the address is his.
const NODAD: u8 = 2;

/// `AF_INET` and `AF_INET6`.
const AF: [u8; 2] = [2, 10];

/// The index of the loopback interface (`LOOPBACK_IFINDEX` in `net/flow.h`).
pub const LOOPBACK: u32 = 1;

/// A conversation about the interfaces of this network namespace.
#[derive(Debug)]
pub struct Links(OwnedFd);

impl Links {
    /// Begins it.
    ///
    /// # Errors
    /// When the kernel does not let us.
    pub fn open() -> io::Result<Self> {
        let family = AddressFamily::Netlink;
        let flags = SockFlag::SOCK_CLOEXEC;
        let protocol = SockProtocol::NetlinkRoute;
        Ok(Self(socket(family, SockType::Raw, flags, protocol)?))
    }

    /// Gives an interface a hardware address, if one is said, and starts it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn up(&self, index: u32, hardware_address: Option<[u8; 6]>) -> io::Result<()> {
        let mut body = interface(index, IFF_UP);
        if let Some(address) = hardware_address {
            attribute(&mut body, IFLA_ADDRESS, &address);
        }
        self.ask(RTM_NEWLINK, &body)
    }

    /// Lays a cable from a new interface of this network namespace, which gets this index, to a new
    /// card of another namespace (`veth`).
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn cable(
        &self,
        index: u32,
        near: &str,
        namespace: BorrowedFd<'_>,
        far: &Card<'_>,
    ) -> io::Result<()> {
        let mut peer = interface(0, 0);
        attribute(&mut peer, IFLA_IFNAME, far.name.as_bytes());
        attribute(&mut peer, IFLA_ADDRESS, &far.hardware_address);
        let namespace = namespace.as_raw_fd();
        attribute(&mut peer, IFLA_NET_NS_FD, &namespace.to_ne_bytes());
        let (mut data, mut info) = (Vec::new(), Vec::new());
        attribute(&mut data, VETH_INFO_PEER, &peer);
        attribute(&mut info, IFLA_INFO_KIND, b"veth");
        attribute(&mut info, IFLA_INFO_DATA, &data);
        let mut body = interface(index, 0);
        attribute(&mut body, IFLA_IFNAME, near.as_bytes());
        attribute(&mut body, IFLA_LINKINFO, &info);
        self.ask(RTM_NEWLINK, &body)
    }

    /// Has every address of a prefix be one of this machine's own, reached by an interface.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn own(&self, prefix: Prefix, index: u32) -> io::Result<()> {
        let (family, bytes) = match prefix.family() {
            Family::Ip => (AF[0], 12..16),
            Family::Ip6 => (AF[1], 0..16),
        };
        // `struct rtmsg`: family, lengths of destination and source, service, table, origin, scope,
        // type, flags.
        let mut body = vec![family, prefix.length(), 0, 0];
        body.extend(TO_THIS_MACHINE);
        body.extend([0; 4]);
        if prefix.length() > 0 {
            let first = prefix.interval().first().to_be_bytes();
            attribute(&mut body, RTA_DST, &first[bytes]);
        }
        attribute(&mut body, RTA_OIF, &index.to_ne_bytes());
        self.ask(RTM_NEWROUTE, &body)
    }

    /// Routes every address that no other route is for through a neighbour at an interface.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn gateway(&self, neighbour: IpAddr, index: u32) -> io::Result<()> {
        let (family, bytes) = octets(neighbour);
        let mut body = vec![family, 0, 0, 0];
        body.extend(TO_OTHERS);
        body.extend(ONLINK.to_ne_bytes());
        attribute(&mut body, RTA_GATEWAY, &bytes);
        attribute(&mut body, RTA_OIF, &index.to_ne_bytes());
        self.ask(RTM_NEWROUTE, &body)
    }

    /// Gives an interface an address, without a network around it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn address(&self, address: IpAddr, index: u32) -> io::Result<()> {
        self.add_address(address, [Family::of(address).bits(), 0], index)
    }

    /// Gives an interface an address, whose neighbours are those with the same first bits, at once.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn address_in_network(&self, address: IpAddr, bits: u8, index: u32) -> io::Result<()> {
        let flags = match address {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => NODAD,
        };
        self.add_address(address, [bits, flags], index)
    }

    fn add_address(&self, address: IpAddr, [bits, flags]: [u8; 2], index: u32) -> io::Result<()> {
        let (family, bytes) = octets(address);
        // `struct ifaddrmsg`: family, length of the prefix, flags, scope, index.
        let mut body = vec![family, bits, flags, 0];
        body.extend(index.to_ne_bytes());
        attribute(&mut body, IFA_LOCAL, &bytes);
        self.ask(RTM_NEWADDR, &body)
    }

    fn ask(&self, kind: u16, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(16 + body.len()).expect("one message is small");
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(FLAGS.to_ne_bytes());
        message.extend([0; 8]);
        message.extend_from_slice(body);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0; 256];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let answered = length >= 20 && u16::from_ne_bytes([answer[4], answer[5]]) == NLMSG_ERROR;
        let number = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        match number {
            0 if answered => Ok(()),
            error if answered => Err(io::Error::from_raw_os_error(-error)),
            _ => Err(io::Error::other("an answer of the kernel is no answer")),
        }
    }
}

/// A network card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Card<'a> {
    /// What the interface is called.
    pub name: &'a str,
    /// Its hardware address.
    pub hardware_address: [u8; 6],
}

/// `struct ifinfomsg`: family, padding, type, index, flags, which flags change.
fn interface(index: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for number in [index, flags, flags] {
        body.extend(number.to_ne_bytes());
    }
    body
}

/// An address for the kernel, after the number of its family.
fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (AF[0], address.octets().to_vec()),
        IpAddr::V6(address) => (AF[1], address.octets().to_vec()),
    }
}

/// Adds an attribute, filled up to a multiple of four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).expect("addresses are short");
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}
