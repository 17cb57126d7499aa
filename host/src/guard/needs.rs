//! What must be let through, or the operator is locked out.
//!
//! The way that the operator came must stay open: the same client, the same address and port of
//! this machine, the interface that has that address. What is asked is no more than that, so that
//! a policy that closes another port or another interface is not refused.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use portreeve_model::address::{Family, address_bits};
use portreeve_model::field::Field;
use portreeve_model::intervals::Intervals;
use portreeve_model::packet::CtState;
use portreeve_model::tables::Match;
use portreeve_verify::Way;

use super::ends::{Ends, Side, Through};
use super::ordinary::{
    Asked, Clause, HEARS, HOPS_ON_LINK, Routes, link_local, link_multicast, numbers, one, unicast,
};
use super::{Fact, Facts, Interface, Operator};
use crate::session::Connection;

/// Packets that must be let through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Need {
    /// What they are, in a few words: `new connections from 192.0.2.7 to port 22, in by eth0`.
    pub name: String,
    /// What they are for.
    pub kind: Kind,
    /// The way that they go.
    pub way: Way,
    /// Which of them must.
    pub wanted: Wanted,
    /// The packets: for which all conditions of some clause hold.
    pub packets: Vec<Vec<Match>>,
}

/// What packets are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// They begin connections.
    Begins,
    /// They belong to connections that are open.
    GoesOn,
    /// They answer to either.
    Answers,
    /// They say that other packets are too big.
    TooBig,
    /// They tell neighbours of each other.
    Neighbours,
}

/// Which packets must be let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// All of them.
    All,
    /// Those of the operator, of whom it is not known where they are.
    Theirs,
    /// Some of them: whoever is at the machine itself may close it to many.
    Some,
}

/// The ports that must stay open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ports {
    /// The ports, sorted.
    pub numbers: Vec<u16>,
    /// How it is known that it is these.
    pub from: PortsFrom,
}

/// `port 22`, or `ports 22, 22022`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.numbers.iter().map(u16::to_string).collect();
        let word = if each.len() == 1 { "port" } else { "ports" };
        write!(f, "{word} {}", each.join(", "))
    }
}

/// How a port is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PortsFrom {
    /// The operator came in by it.
    Connection,
    /// sshd listens on it.
    Sshd,
    /// The policy has a setting that says so. sshd does not run, or why its sockets are not seen.
    Setting(Option<String>),
}

/// What a host says to its neighbours (RFC 4861): no router advertisements.
const SAYS: [u128; 3] = [133, 135, 136];

/// Everything that must be let through on this machine, for tables that ask for these fields.
pub(super) fn needs(facts: &Facts, ports: &[Ports], asked: &Asked) -> Vec<Need> {
    let mut needs = Vec::new();
    match &facts.operator {
        Operator::Remote(connections) => {
            for (connection, ports) in connections.iter().zip(ports) {
                for through in Through::to(&facts.interfaces, connection.server().ip()) {
                    needs.extend(remote(connection, ports, &through, asked));
                }
            }
        }
        Operator::Local(connection) => needs.extend(local(connection, asked)),
        Operator::Console => needs.extend(anybody(facts, ports, Wanted::Some, asked)),
        Operator::Unknown(_) => needs.extend(anybody(facts, ports, Wanted::Theirs, asked)),
    }
    // Of several connections one machine may be at the other end.
    let mut seen = BTreeSet::new();
    needs.retain(|need| seen.insert(need.name.clone()));
    needs
}

/// The ports that must stay open: for each connection that may be the operator's; else for all.
pub(super) fn ports(facts: &Facts, ssh_port: Option<u16>) -> Vec<Ports> {
    let of = |numbers, from| Ports { numbers, from };
    match &facts.operator {
        Operator::Remote(connections) => {
            let of_connection = |connection: &Connection| {
                let server = connection.server();
                let listening = listening_at(&facts.sshd, server.ip());
                if listening.is_empty() || listening.contains(&server.port()) {
                    of(vec![server.port()], PortsFrom::Connection)
                } else {
                    of(listening, PortsFrom::Sshd)
                }
            };
            connections.iter().map(of_connection).collect()
        }
        Operator::Local(connection) => {
            vec![of(vec![connection.server().port()], PortsFrom::Connection)]
        }
        Operator::Console | Operator::Unknown(_) => {
            let setting = |why| ssh_port.map(|port| of(vec![port], PortsFrom::Setting(why)));
            let ports = match &facts.sshd {
                Err(why) => setting(Some(why.clone())),
                Ok(sockets) if sockets.is_empty() => setting(None),
                Ok(sockets) => {
                    let outside = sockets.iter().filter(|it| !it.ip().is_loopback());
                    Some(of(sorted(outside.map(SocketAddr::port)), PortsFrom::Sshd))
                }
            };
            ports
                .into_iter()
                .filter(|it| !it.numbers.is_empty())
                .collect()
        }
    }
}

/// The ports at which sshd takes connections to an address of this machine.
fn listening_at(sshd: &Fact<Vec<SocketAddr>>, address: IpAddr) -> Vec<u16> {
    let takes = |socket: &&SocketAddr| match socket.ip() {
        // A socket for IPv6 takes IPv4 as well, unless it is told not to.
        IpAddr::V6(bound) if bound.is_unspecified() => true,
        IpAddr::V4(bound) if bound.is_unspecified() => address.is_ipv4(),
        bound => bound == address,
    };
    let sockets = sshd.iter().flatten();
    sorted(sockets.filter(takes).map(SocketAddr::port))
}

fn sorted(ports: impl Iterator<Item = u16>) -> Vec<u16> {
    let ports: BTreeSet<u16> = ports.collect();
    ports.into_iter().collect()
}

/// What must be let through of one connection, and of the next one that comes the same way.
fn remote(
    connection: &Connection,
    ports: &Ports,
    through: &Through<'_>,
    asked: &Asked,
) -> Vec<Need> {
    let (client, server) = (connection.client().ip(), connection.server().ip());
    let family = Family::of(client);
    let ends = Ends {
        through,
        family,
        clients: one(address_bits(client)),
        servers: one(address_bits(server)),
        ports: port_numbers(ports),
        asked,
    };
    let to = format!("from {client} to {ports}, in by {through}");
    let back = format!("from {ports} to {client}, out by {through}");
    let too_big = match family {
        Family::Ip => "fragmentation needed",
        Family::Ip6 => "packet too big",
    };
    let need = |kind: Kind, name: String, packets| Need {
        name,
        kind,
        way: kind.way(),
        wanted: Wanted::All,
        packets: vec![packets],
    };
    let mut needs = vec![
        need(
            Kind::Begins,
            format!("new connections {to}"),
            ends.asks(CtState::New, Side::In),
        ),
        need(
            Kind::GoesOn,
            format!("open connections {to}"),
            ends.asks(CtState::Established, Side::In),
        ),
        need(
            Kind::Answers,
            format!("answers {back}"),
            ends.answers(Side::Out),
        ),
        Need {
            wanted: Wanted::Some,
            ..need(
                Kind::TooBig,
                format!("messages `{too_big}`, in by {through}"),
                ends.too_big(),
            )
        },
    ];
    needs.extend(neighbours(through, family == Family::Ip6, asked));
    needs
}

/// What must be let through of a connection that the machine has with itself.
fn local(connection: &Connection, asked: &Asked) -> Vec<Need> {
    let (client, server) = (connection.client(), connection.server());
    let ends = Ends {
        through: &Through::Loopback,
        family: Family::of(client.ip()),
        clients: one(address_bits(client.ip())),
        servers: one(address_bits(server.ip())),
        ports: one(server.port().into()),
        asked,
    };
    let need = |kind, way, name: &str, packets| Need {
        name: format!("{name} of this machine with {server}"),
        kind,
        way,
        wanted: Wanted::All,
        packets,
    };
    let (new, open) = (CtState::New, CtState::Established);
    let begins = |side| vec![ends.asks(new, side)];
    let goes_on = |side| vec![ends.asks(open, side), ends.answers(side)];
    vec![
        need(
            Kind::Begins,
            Way::Out,
            "new connections, out by lo,",
            begins(Side::Out),
        ),
        need(
            Kind::Begins,
            Way::In,
            "new connections, in by lo,",
            begins(Side::In),
        ),
        need(
            Kind::GoesOn,
            Way::Out,
            "open connections, out by lo,",
            goes_on(Side::Out),
        ),
        need(
            Kind::GoesOn,
            Way::In,
            "open connections, in by lo,",
            goes_on(Side::In),
        ),
    ]
}

/// What must be let through so that somebody can get in.
fn anybody(facts: &Facts, ports: &[Ports], wanted: Wanted, asked: &Asked) -> Vec<Need> {
    let through = Through::somewhere(&facts.interfaces);
    let families = Family::BOTH.into_iter();
    let families: Vec<Family> = families
        .filter(|it| !through.addresses(*it).is_empty())
        .collect();
    let need = |kind: Kind, wanted, name: String, numbers: &Intervals| {
        let of_family = |family: &Family| {
            let ends = Ends {
                through: &through,
                family: *family,
                clients: unicast(*family),
                servers: through.addresses(*family),
                ports: numbers.clone(),
                asked,
            };
            match kind {
                Kind::Begins => ends.asks(CtState::New, Side::In),
                Kind::GoesOn => ends.asks(CtState::Established, Side::In),
                Kind::Answers => ends.answers(Side::Out),
                Kind::TooBig | Kind::Neighbours => ends.too_big(),
            }
        };
        Need {
            name,
            kind,
            way: kind.way(),
            wanted,
            packets: families.iter().map(of_family).collect(),
        }
    };
    let mut needs = Vec::new();
    for ports in ports {
        let numbers = port_numbers(ports);
        for (kind, name) in [
            (
                Kind::Begins,
                format!("new connections to {ports}, in by {through}"),
            ),
            (
                Kind::GoesOn,
                format!("open connections to {ports}, in by {through}"),
            ),
            (
                Kind::Answers,
                format!("answers from {ports}, out by {through}"),
            ),
        ] {
            needs.push(need(kind, wanted, name, &numbers));
        }
    }
    let name = format!("messages `fragmentation needed` or `packet too big`, in by {through}");
    needs.push(need(Kind::TooBig, Wanted::Some, name, &Intervals::EMPTY));
    needs.extend(neighbours(&through, false, asked));
    needs
}

impl Kind {
    /// The way of such packets.
    const fn way(self) -> Way {
        match self {
            Self::Answers => Way::Out,
            Self::Begins | Self::GoesOn | Self::TooBig | Self::Neighbours => Way::In,
        }
    }
}

/// Neighbour discovery, where IPv6 leads further than the link, or to the operator: without it the
/// machine vanishes from the link within a minute.
fn neighbours(through: &Through<'_>, always: bool, asked: &Asked) -> Vec<Need> {
    let speaking = |it: &&&Interface| always || it.addresses.iter().any(is_routed);
    let speaking: Vec<&Interface> = through
        .interfaces()
        .iter()
        .filter(speaking)
        .copied()
        .collect();
    let through = match through {
        Through::This(_) | Through::Any(_) if speaking.is_empty() => return Vec::new(),
        Through::Any(_) => Through::Any(speaking),
        same => same.clone(),
    };
    let links = link_local().union(&link_multicast());
    let own = match &through {
        Through::This(_) | Through::Any(_) => through.addresses(Family::Ip6),
        Through::Unknown | Through::Loopback => link_local(),
    };
    let need = |way, side, word, types: &[u128], (saddr, daddr): (Intervals, Intervals)| {
        let routes = match side {
            Side::In => Routes::LinkHere,
            Side::Out => Routes::LinkThere,
        };
        let clause = Clause::new(asked, Family::Ip6)
            .icmp(types)
            .routed(routes)
            .if_asked(Field::IcmpCode(Family::Ip6), one(0))
            .is(Field::Saddr(Family::Ip6), saddr)
            .is(Field::Daddr(Family::Ip6), daddr)
            .is(Field::HopLimit(Family::Ip6), one(HOPS_ON_LINK))
            .state(CtState::Untracked);
        Need {
            name: format!("messages of neighbour discovery, {word} by {through}"),
            kind: Kind::Neighbours,
            way,
            wanted: Wanted::All,
            packets: vec![through.of(clause, side).done()],
        }
    };
    let heard = (link_local(), links.union(&own));
    let said = (own, links);
    vec![
        need(Way::In, Side::In, "in", &HEARS, heard),
        need(Way::Out, Side::Out, "out", &SAYS, said),
    ]
}

/// Whether an address is more than the link's own.
fn is_routed(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_loopback(),
    }
}

fn port_numbers(ports: &Ports) -> Intervals {
    let each = ports.numbers.iter().map(|port| u128::from(*port));
    numbers(&each.collect::<Vec<_>>())
}
