//! Sets up network cards.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use portreeve_vm_agent::Interface;
use portreeve_wire::links::Links;
use portreeve_wire::namespace;

/// Of each card: nobody is asked for an address or a route, and none that is offered is taken.
const SETTINGS: [(&str, &str, &str); 4] = [
    ("ipv4", "rp_filter", "0"),
    ("ipv6", "accept_dad", "0"),
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "router_solicitations", "0"),
];

/// Gives a network card its addresses, starts it, and routes the other hosts through a neighbour.
/// What is so already stays so.
///
/// # Errors
/// When there is no such card, or the kernel refuses it; the error says what.
pub(crate) fn configure(interface: &Interface) -> io::Result<()> {
    let name = &interface.name;
    let failed = |what: &dyn std::fmt::Display, error: &dyn std::fmt::Display| {
        io::Error::other(format!("interface `{name}`: {what}: {error}"))
    };
    let index = if_nametoindex(name.as_str()).map_err(|error| failed(&"not found", &error))?;
    for (family, setting, value) in SETTINGS {
        namespace::set(&format!("{family}/conf/{name}/{setting}"), value)?;
    }
    let links = Links::open()?;
    let up = links.up(index, None);
    up.map_err(|error| failed(&"cannot be started", &error))?;
    for (address, bits) in &interface.addresses {
        there(links.address_in_network(*address, *bits, index))
            .map_err(|error| failed(address, &error))?;
    }
    for gateway in &interface.gateways {
        there(links.gateway(*gateway, index)).map_err(|error| failed(gateway, &error))?;
    }
    wait_until_taken(&interface.addresses)
        .map_err(|error| failed(&"what is sent to it is not taken", &error))
}

/// The kernel takes an address of IPv6 at once, and what is sent to it when it comes to that: on a busy
/// machine some milliseconds later. Until then whoever asks for it is met by silence.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

fn wait_until_taken(addresses: &[(IpAddr, u8)]) -> io::Result<()> {
    let until = Instant::now() + TAKEN_WITHIN;
    for address in addresses.iter().map(|(address, _)| address) {
        let IpAddr::V6(address) = address else {
            continue;
        };
        while !is_taken(&fs::read_to_string(ROUTES)?, *address) {
            if Instant::now() > until {
                let seconds = TAKEN_WITHIN.as_secs();
                return Err(io::Error::other(format!(
                    "{address}: not after {seconds} s"
                )));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
    Ok(())
}

/// A line each: destination and the length of its network, the same of the source, next hop, metric, two
/// counters, flags and interface (`rt6_info_route`, since 5.3 `ipv6_route_native_seq_show`, in
/// `net/ipv6/ip6_fib.c`).
const ROUTES: &str = "/proc/self/net/ipv6_route";

/// `RTF_LOCAL` in `linux/ipv6_route.h`.
const LOCAL: u32 = 0x8000_0000;

/// Whether the kernel takes what is sent to an address. Its flags say so already before it does: this
/// route is the last thing that it makes (`addrconf_dad_completed`).
fn is_taken(routes: &str, address: Ipv6Addr) -> bool {
    let address = format!("{:032x}", address.to_bits());
    routes.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let flags = words
            .get(8)
            .and_then(|word| u32::from_str_radix(word, 16).ok());
        words.starts_with(&[&address, "80"]) && flags.is_some_and(|flags| flags & LOCAL != 0)
    })
}

fn there(added: io::Result<()>) -> io::Result<()> {
    match added {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        added => added,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losing this, the first attempts at a machine would come to nothing now and then.
    #[test]
    fn an_address_is_taken_when_it_has_a_local_route() {
        let address: Ipv6Addr = "2001:db8:1::1".parse().unwrap();
        let [to, from] = ["20010db8000100000000000000000001", &"0".repeat(32)];
        let line = |length, flags| {
            format!("{to} {length} {from} 00 {from} 00000000 00000002 00000000 {flags}     eth0\n")
        };
        for (length, flags, expected) in [
            ("80", "80200001", true),
            ("80", "00000001", false),
            ("40", "80200001", false),
        ] {
            assert_eq!(is_taken(&line(length, flags), address), expected);
        }
        assert!(!is_taken("", address));
    }
}
