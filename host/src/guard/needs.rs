//! What must be let through, or the operator is locked out.
//!
//! The way that the operator came must stay open: the same client, the same address and port of
//! this machine, the interface that has that address. What is asked is no more than that, so that
//! a policy that closes another port or another interface is not refused.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use portreeve_model::address::{Family, address_bits};
use portreeve_model::field::{Direction, Field, PortProtocol, interface};
use portreeve_model::intervals::Intervals;
use portreeve_model::packet::CtState;
use portreeve_model::tables::Match;
use portreeve_verify::Way;

use super::ordinary::{
    Asked, BEGINS, Clause, GOES_ON, HEARS, HOPS_ON_LINK, Routes, between, link_local,
    link_multicast, numbers, one, unicast,
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

/// Where packets meet the rules: as they come in, or as they go out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    In,
    Out,
}

const TCP: PortProtocol = PortProtocol::Tcp;

/// SYN and ACK; then as [`GOES_ON`].
const ANSWERS: [u128; 5] = [0x12, 0x10, 0x18, 0x11, 0x19];

/// The first port that a client has without a privilege.
const CLIENT_PORTS: (u128, u128) = (1024, 65535);

/// `destination-unreachable` with the code `fragmentation needed` (RFC 1191).
const UNREACHABLE: u128 = 3;
const FRAGMENTATION_NEEDED: u128 = 4;
/// RFC 4443, 3.2.
const PACKET_TOO_BIG: u128 = 2;

/// What it says to them: no router advertisements.
const SAYS: [u128; 3] = [133, 135, 136];
/// Everything that must be let through on this machine, for tables that ask for these fields.
pub(super) fn needs(facts: &Facts, ports: &[Ports], asked: &Asked) -> Vec<Need> {
    let mut needs = Vec::new();
    match &facts.operator {
        Operator::Remote(connections) => {
            for (connection, ports) in connections.iter().zip(ports) {
                for through in entrances(&facts.interfaces, connection.server().ip()) {
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

/// Interfaces by which packets come.
#[derive(Clone, Debug)]
enum Through<'a> {
    /// This one.
    This(&'a Interface),
    /// Any of these.
    Any(Vec<&'a Interface>),
    /// Any but `lo`: it is not known which there are, or will be.
    Unknown,
    /// `lo`.
    Loopback,
}

/// The interfaces by which packets to an address of this machine come in: those that have it. When
/// none has it, it may be any.
fn entrances(interfaces: &Fact<Vec<Interface>>, server: IpAddr) -> Vec<Through<'_>> {
    let having = interfaces.iter().flatten();
    let having = having.filter(|it| it.addresses.contains(&server));
    let having: Vec<Through<'_>> = having.map(Through::This).collect();
    if having.is_empty() {
        vec![anywhere(interfaces)]
    } else {
        having
    }
}

/// Any interface that packets may come in by.
fn anywhere(interfaces: &Fact<Vec<Interface>>) -> Through<'_> {
    let interfaces = interfaces.iter().flatten();
    let addressed = interfaces.filter(|it| !it.addresses.is_empty());
    let addressed: Vec<&Interface> = addressed.collect();
    // At boot there may be none yet.
    if addressed.is_empty() {
        Through::Unknown
    } else {
        Through::Any(addressed)
    }
}

impl<'a> Through<'a> {
    fn interfaces(&self) -> &[&'a Interface] {
        match self {
            Self::This(interface) => std::slice::from_ref(interface),
            Self::Any(interfaces) => interfaces,
            Self::Unknown | Self::Loopback => &[],
        }
    }

    /// The addresses of a family that packets are sent to; none where the machine has none.
    fn addresses(&self, family: Family) -> Intervals {
        match self {
            Self::This(_) | Self::Any(_) => {
                let interfaces = self.interfaces().iter();
                let addresses = interfaces.flat_map(|it| &it.addresses).copied();
                numbers(
                    &addresses
                        .filter(|it| Family::of(*it) == family)
                        .map(address_bits)
                        .collect::<Vec<_>>(),
                )
            }
            Self::Unknown | Self::Loopback => unicast(family),
        }
    }

    /// The packets of a clause that come in by it, or go out by it.
    fn of<'c>(&self, clause: Clause<'c>, side: Side) -> Clause<'c> {
        let (name, index) = match side {
            Side::In => (Field::Iifname, Field::Iif),
            Side::Out => (Field::Oifname, Field::Oif),
        };
        let names = |names: Vec<&str>| interface::set(names);
        match self {
            Self::This(interface) => {
                let clause = clause.is(name, names(vec![&interface.name]));
                match interface.index {
                    Some(number) => clause.if_asked(index, one(number.into())),
                    None => clause,
                }
            }
            Self::Any(interfaces) => {
                let all = interfaces.iter().map(|it| it.name.as_str());
                clause.is(name, names(all.collect()))
            }
            Self::Unknown => clause.is_not(name, names(vec!["lo"])),
            Self::Loopback => clause.is(name, names(vec!["lo"])),
        }
    }
}

/// `eth0`, or `any interface`.
impl fmt::Display for Through<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::This(interface) => f.write_str(&interface.name),
            Self::Any(_) | Self::Unknown => f.write_str("any interface"),
            Self::Loopback => f.write_str("lo"),
        }
    }
}

/// Two ends of a connection.
struct Ends<'a> {
    through: &'a Through<'a>,
    family: Family,
    clients: Intervals,
    servers: Intervals,
    ports: Intervals,
    asked: &'a Asked,
}

impl Ends<'_> {
    /// What a client sends, when it begins or later.
    fn asks(&self, state: CtState, side: Side) -> Vec<Match> {
        let flags: &[u128] = match state {
            CtState::New => &BEGINS,
            _ => &GOES_ON,
        };
        let clause = self
            .tcp(side, flags)
            .is(Field::Saddr(self.family), self.clients.clone())
            .is(Field::Daddr(self.family), self.servers.clone())
            .if_asked(Field::Sport(TCP), client_ports())
            .is(Field::Dport(TCP), self.ports.clone())
            .state(state)
            .direction(Direction::Original);
        clause.done()
    }

    /// What is answered.
    fn answers(&self, side: Side) -> Vec<Match> {
        let clause = self
            .tcp(side, &ANSWERS)
            .is(Field::Saddr(self.family), self.servers.clone())
            .is(Field::Daddr(self.family), self.clients.clone())
            .is(Field::Sport(TCP), self.ports.clone())
            .if_asked(Field::Dport(TCP), client_ports())
            // sshd takes connections as root, whoever logs in.
            .if_asked(Field::Skuid, one(0))
            .state(CtState::Established)
            .direction(Direction::Reply);
        clause.done()
    }

    fn tcp<'c>(&'c self, side: Side, flags: &[u128]) -> Clause<'c> {
        let routes = match self.through {
            Through::Loopback => Routes::Within,
            Through::This(_) | Through::Any(_) | Through::Unknown => match side {
                Side::In => Routes::Here,
                Side::Out => Routes::There,
            },
        };
        let clause = Clause::new(self.asked, self.family).tcp(routes);
        let clause = self.through.of(clause, side);
        clause.if_asked(Field::TcpFlags, numbers(flags))
    }

    /// What a router says of packets that are too big for the way to the client.
    fn too_big(&self) -> Vec<Match> {
        let family = self.family;
        let clause = Clause::new(self.asked, family);
        let clause = match family {
            Family::Ip => clause
                .icmp(&[UNREACHABLE])
                .is(Field::IcmpCode(family), one(FRAGMENTATION_NEEDED)),
            Family::Ip6 => clause
                .icmp(&[PACKET_TOO_BIG])
                .if_asked(Field::IcmpCode(family), one(0)),
        };
        let clause = clause
            .routed(Routes::Here)
            .is(Field::Saddr(family), unicast(family))
            .is(Field::Daddr(family), self.servers.clone())
            .state(CtState::Related);
        self.through.of(clause, Side::In).done()
    }
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
    let through = anywhere(&facts.interfaces);
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

fn client_ports() -> Intervals {
    between(CLIENT_PORTS.0, CLIENT_PORTS.1)
}

fn port_numbers(ports: &Ports) -> Intervals {
    let each = ports.numbers.iter().map(|port| u128::from(*port));
    numbers(&each.collect::<Vec<_>>())
}
