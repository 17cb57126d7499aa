//! Sets up network cards.

use std::io;

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
    Ok(())
}

fn there(added: io::Result<()>) -> io::Result<()> {
    match added {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        added => added,
    }
}
