//! Two namespaces, one cable: made with `unshare` and `ip`, gone when their processes end.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use portreeve_model::address::Family;

use crate::namespace::{Namespaces, ip_batch, tool};

/// The interface's name, on either side.
pub(super) const INTERFACE: &str = "eth0";

/// The server's addresses.
pub(super) const SERVER: [IpAddr; 2] = [
    IpAddr::V4(SERVER_V4),
    IpAddr::V6(std::net::Ipv6Addr::new(
        0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10,
    )),
];

/// The address that answers barriers.
pub(super) const SERVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// The address that barriers are asked from; no probe uses it.
pub(super) const BARRIER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 254);

/// Starts this program again as `client` in a namespace of its own, talking over pipes.
pub(super) fn start_client() -> io::Result<Child> {
    Namespaces::OF_ROOT
        .command(&[], &std::env::current_exe()?)
        .arg("client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Lays the cable from the server, where this runs, to the namespace of `client`.
pub(super) fn connect_server(client: u32) -> io::Result<()> {
    let mut lines = format!(
        "link set lo up\n\
         link add {INTERFACE} type veth peer name {INTERFACE} netns {client}\n"
    );
    lines += &format!("link set {INTERFACE} up\n");
    for (address, length) in SERVER.into_iter().zip([24, 64]) {
        lines += &address_line(address, length);
    }
    lines += &default_routes();
    // Rejects are answers here, not a load to be limited. Older kernels keep this one for
    // themselves, so it is no error when it cannot be set.
    for limit in ["ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"] {
        let _ = std::fs::write(Path::new("/proc/sys/net").join(limit), "0");
    }
    ip(&lines)
}

/// Gives the client, where this runs, its addresses.
pub(super) fn connect_client(addresses: &[IpAddr]) -> io::Result<()> {
    let mut lines = format!("link set lo up\nlink set {INTERFACE} up\n");
    for address in addresses {
        lines += &address_line(*address, Family::of(*address).bits());
    }
    ip(&(lines + &default_routes()))
}

/// Forgets every neighbour, so that the next packets must resolve them through the rules.
pub(super) fn forget_neighbours() -> io::Result<()> {
    ip(&format!("neigh flush dev {INTERFACE}\n"))
}

/// Without duplicate address detection, an IPv6 address can be used at once.
fn address_line(address: IpAddr, length: u8) -> String {
    let nodad = if address.is_ipv6() { " nodad" } else { "" };
    format!("address add {address}/{length} dev {INTERFACE}{nodad}\n")
}

/// Everybody is on the link: each address is resolved by ARP or neighbour discovery.
fn default_routes() -> String {
    format!("route add 0.0.0.0/0 dev {INTERFACE}\nroute add ::/0 dev {INTERFACE}\n")
}

fn ip(lines: &str) -> io::Result<()> {
    ip_batch(&mut Command::new(tool("ip")?), lines)
}
