//! The two ends of a connection with this machine, the interfaces between them, and the packets that
//! go to and fro.

use std::fmt;
use std::net::IpAddr;

use portreeve_model::address::{Family, address_bits};
use portreeve_model::field::{Direction, Field, PortProtocol, interface};
use portreeve_model::intervals::Intervals;
use portreeve_model::packet::CtState;
use portreeve_model::tables::Match;

use super::ordinary::{Asked, BEGINS, Clause, GOES_ON, Routes, between, numbers, one, unicast};
use super::{Fact, Interface};

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

/// Where packets meet the rules: as they come in, or as they go out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    In,
    Out,
}

/// Interfaces by which packets come.
#[derive(Clone, Debug)]
pub(super) enum Through<'a> {
    /// This one.
    This(&'a Interface),
    /// Any of these.
    Any(Vec<&'a Interface>),
    /// Any but `lo`: it is not known which there are, or will be.
    Unknown,
    /// `lo`.
    Loopback,
}

impl<'a> Through<'a> {
    /// The interfaces by which packets to an address of this machine come in: those that have it. When
    /// none has it, it may be any.
    pub(super) fn to(interfaces: &'a Fact<Vec<Interface>>, server: IpAddr) -> Vec<Self> {
        let having = interfaces.iter().flatten();
        let having = having.filter(|it| it.addresses.contains(&server));
        let having: Vec<Self> = having.map(Self::This).collect();
        if having.is_empty() {
            vec![Self::somewhere(interfaces)]
        } else {
            having
        }
    }

    /// Any interface that packets may come in by.
    pub(super) fn somewhere(interfaces: &'a Fact<Vec<Interface>>) -> Self {
        let interfaces = interfaces.iter().flatten();
        let addressed = interfaces.filter(|it| !it.addresses.is_empty());
        let addressed: Vec<&Interface> = addressed.collect();
        // At boot there may be none yet.
        if addressed.is_empty() {
            Self::Unknown
        } else {
            Self::Any(addressed)
        }
    }

    /// Those that are known.
    pub(super) fn interfaces(&self) -> &[&'a Interface] {
        match self {
            Self::This(interface) => std::slice::from_ref(interface),
            Self::Any(interfaces) => interfaces,
            Self::Unknown | Self::Loopback => &[],
        }
    }

    /// The addresses of a family that packets are sent to; none where the machine has none.
    pub(super) fn addresses(&self, family: Family) -> Intervals {
        match self {
            Self::This(_) | Self::Any(_) => {
                let interfaces = self.interfaces().iter();
                let addresses = interfaces.flat_map(|it| &it.addresses);
                let of_family = addresses.filter(|it| Family::of(**it) == family);
                let all: Vec<u128> = of_family.map(|it| address_bits(*it)).collect();
                numbers(&all)
            }
            Self::Unknown | Self::Loopback => unicast(family),
        }
    }

    /// The packets of a clause that come in by it, or go out by it.
    pub(super) fn of<'c>(&self, clause: Clause<'c>, side: Side) -> Clause<'c> {
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
            Self::Unknown => clause.but(name, names(vec!["lo"])),
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
pub(super) struct Ends<'a> {
    pub(super) through: &'a Through<'a>,
    pub(super) family: Family,
    pub(super) clients: Intervals,
    pub(super) servers: Intervals,
    pub(super) ports: Intervals,
    pub(super) asked: &'a Asked,
}

impl Ends<'_> {
    /// What a client sends, when it begins or later.
    pub(super) fn asks(&self, state: CtState, side: Side) -> Vec<Match> {
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
    pub(super) fn answers(&self, side: Side) -> Vec<Match> {
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
    pub(super) fn too_big(&self) -> Vec<Match> {
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

fn client_ports() -> Intervals {
    between(CLIENT_PORTS.0, CLIENT_PORTS.1)
}
