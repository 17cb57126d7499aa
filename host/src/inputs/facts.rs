//! Facts about the machine: its interfaces, and the sockets that wait for packets.
//!
//! Read from the kernel once, and only when a policy's description asks for them. Sorted, so that
//! the same machine gives the same inputs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;
use portreeve_model::address::address_bits;
use portreeve_model::field::PortProtocol;
use portreeve_model::inputs::{Interface, Listener};
use procfs::net::{TcpState, UdpState};
use procfs::{ProcError, ProcResult};

/// The machine's interfaces with their addresses.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut by_name: BTreeMap<String, Vec<(IpAddr, u8)>> = BTreeMap::new();
    for entry in getifaddrs()? {
        let addresses = by_name.entry(entry.interface_name.clone()).or_default();
        addresses.extend(network(&entry));
    }
    let sorted = |(name, mut addresses): (String, Vec<(IpAddr, u8)>)| {
        addresses.sort_unstable();
        addresses.dedup();
        Interface { name, addresses }
    };
    Ok(by_name.into_iter().map(sorted).collect())
}

/// An address of an interface with the length of its network.
fn network(entry: &InterfaceAddress) -> Option<(IpAddr, u8)> {
    let address = ip_address(entry.address.as_ref()?)?;
    let mask = ip_address(entry.netmask.as_ref()?)?;
    let length = u8::try_from(address_bits(mask).count_ones()).ok()?;
    Some((address, length))
}

fn ip_address(socket: &SockaddrStorage) -> Option<IpAddr> {
    let ip = socket
        .as_sockaddr_in()
        .map(|socket| IpAddr::V4(socket.ip()));
    let ip6 = || {
        socket
            .as_sockaddr_in6()
            .map(|socket| IpAddr::V6(socket.ip()))
    };
    ip.or_else(ip6)
}

/// The TCP and UDP sockets that wait for packets.
pub(super) fn listeners() -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for socket in present(procfs::net::tcp())?
        .into_iter()
        .chain(present(procfs::net::tcp6())?)
    {
        if socket.state == TcpState::Listen {
            listeners.push(listener(PortProtocol::Tcp, socket.local_address));
        }
    }
    for socket in present(procfs::net::udp())?
        .into_iter()
        .chain(present(procfs::net::udp6())?)
    {
        // A connected UDP socket takes packets of its peer only.
        if socket.state != UdpState::Established {
            listeners.push(listener(PortProtocol::Udp, socket.local_address));
        }
    }
    listeners.sort_unstable();
    listeners.dedup();
    Ok(listeners)
}

fn listener(protocol: PortProtocol, socket: SocketAddr) -> Listener {
    let (address, port) = (socket.ip(), socket.port());
    Listener {
        protocol,
        address,
        port,
    }
}

/// The sockets of one kind; none where the kernel was started without IPv6.
fn present<T>(sockets: ProcResult<Vec<T>>) -> io::Result<Vec<T>> {
    match sockets {
        Ok(sockets) => Ok(sockets),
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn loopback_is_among_the_interfaces_and_all_are_sorted() {
        let interfaces = interfaces().unwrap();
        assert!(interfaces.is_sorted());
        assert!(interfaces.iter().any(|interface| interface.name == "lo"));
    }

    #[test]
    fn a_waiting_socket_is_seen_and_a_connected_one_is_not() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(udp.local_addr().unwrap()).unwrap();
        let listeners = listeners().unwrap();
        assert!(listeners.is_sorted());
        let seen = |protocol, socket| listeners.contains(&listener(protocol, socket));
        assert!(seen(PortProtocol::Tcp, tcp.local_addr().unwrap()));
        assert!(seen(PortProtocol::Udp, udp.local_addr().unwrap()));
        assert!(!seen(PortProtocol::Udp, connected.local_addr().unwrap()));
    }
}
