//! From a packet of the model to one on a wire, or to the reason why there is none.
//!
//! What is not certain to be as the packet says is not made at all: a packet that differs from what
//! was predicted would prove nothing.

use std::net::IpAddr;

use portreeve_model::address::{Family, address_bits};
use portreeve_model::field::{
    Direction, FibResult, FibSource, Field, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP,
    PROTOCOL_UDP, PROTOCOL_UDPLITE, icmp_protocol,
};
use portreeve_model::packet::{CtState, Hook, Loaded, Packet, Transport};
use portreeve_wire::packet::{Damage, Recipe};

use super::job::{Flow, FlowEnds, Shot};
use super::recorder::UNTRACKED;
use super::report::Obstacle;

/// The hardware address of every interface.
pub(super) const HARDWARE_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// That of everybody on their wires.
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// `PACKET_HOST`, `PACKET_BROADCAST` and `PACKET_MULTICAST` in `linux/if_packet.h`, with a hardware
/// address that is so.
const DESTINATIONS: [[u8; 6]; 3] = [HARDWARE_ADDRESS, [0xff; 6], [1, 0, 0x5e, 0, 0, 1]];

/// `ARPHRD_ETHER` in `linux/if_arp.h`.
const ETHERNET: u128 = 1;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// Bytes of the TCP header before its flags.
const BEFORE_FLAGS: u8 = 13;

/// Ports of the conversation that an error is about: any, and one where traceroute begins.
const SUBJECT: (u16, u16) = (40_000, 33_434);

/// Makes the packet, one that comes in by this interface and has this number.
pub(super) fn aim(packet: &Packet, interface: usize, number: u16) -> Result<Shot, Obstacle> {
    if packet.hook != Hook::Input {
        return Err(Obstacle::Hook(packet.hook));
    }
    let number = match packet.ct_state {
        CtState::Untracked => number | UNTRACKED,
        CtState::Invalid | CtState::Established | CtState::Related | CtState::New => number,
    };
    let mut sketch = Sketch {
        packet,
        recipe: recipe(packet, number)?,
        from: SENDER,
        to: None,
        cut: None,
        length: None,
    };
    for (field, loaded) in &packet.facts {
        sketch.say(*field, *loaded)?;
    }
    let finds = sketch.belong()?;
    sketch.finish()?;
    let to = match sketch.to {
        Some(to) => to,
        None if packet.addresses.daddr().is_multicast() => DESTINATIONS[2],
        None => HARDWARE_ADDRESS,
    };
    Ok(Shot {
        number,
        interface,
        frame: sketch.recipe.frame(sketch.from, to),
        finds,
    })
}

/// What the packet itself says.
fn recipe(packet: &Packet, number: u16) -> Result<Recipe, Obstacle> {
    let mut recipe = Recipe {
        number,
        family: packet.addresses.family(),
        saddr: address_bits(packet.addresses.saddr()),
        daddr: address_bits(packet.addresses.daddr()),
        hop_limit: packet.hop_limit,
        traffic_class: 0,
        protocol: packet.protocol(),
        extension: None,
        sport: 0,
        dport: 0,
        tcp_flags: match packet.ct_state {
            CtState::New | CtState::Related | CtState::Untracked => SYN,
            CtState::Invalid | CtState::Established => ACK,
        },
        icmp_type: 0,
        icmp_code: 0,
        icmp_id: 1,
        icmp_sequence: 1,
        payload: Vec::new(),
        damage: Damage::None,
    };
    match packet.transport {
        Transport::Ports { sport, dport, .. } => (recipe.sport, recipe.dport) = (sport, dport),
        Transport::Icmp { icmp_type } => recipe.icmp_type = icmp_type,
        Transport::Other(_) => {}
        // Whoever asks for connections has the kernel put packets together before they come to
        // input.
        Transport::Fragment(_) => return Err(Obstacle::Fragment),
    }
    Ok(recipe)
}

/// A packet in the making.
struct Sketch<'a> {
    packet: &'a Packet,
    recipe: Recipe,
    /// Hardware addresses.
    from: [u8; 6],
    to: Option<[u8; 6]>,
    /// How many bytes of the transport header there are, when not all.
    cut: Option<u8>,
    /// How long it shall be, with its network header.
    length: Option<u128>,
}

impl Sketch<'_> {
    /// Has the packet be as one of its facts says.
    fn say(&mut self, field: Field, loaded: Loaded) -> Result<(), Obstacle> {
        match loaded {
            Loaded::Unknown => Ok(()),
            Loaded::Absent => self.leave_out(field),
            Loaded::Value(value) => self.give(field, value),
        }
    }

    /// Cuts the header off before a field.
    fn leave_out(&mut self, field: Field) -> Result<(), Obstacle> {
        let before = match field {
            Field::Sport(_) | Field::ThSport | Field::IcmpType(_) => 0,
            Field::IcmpCode(_) => 1,
            Field::Dport(_) | Field::ThDport => 2,
            Field::IcmpId(_) => 4,
            Field::IcmpSequence(_) => 6,
            Field::TcpFlags => BEFORE_FLAGS,
            // It comes from a wire, so no socket has sent it.
            Field::Skuid | Field::Skgid => return Ok(()),
            field if field.is_of_iif() => return Err(Obstacle::NoInterface),
            field => return Err(Obstacle::Field(field)),
        };
        self.cut = Some(self.cut.map_or(before, |cut| cut.min(before)));
        Ok(())
    }

    fn give(&mut self, field: Field, value: u128) -> Result<(), Obstacle> {
        let natural = |natural: u128| {
            if value == natural {
                Ok(())
            } else {
                Err(Obstacle::Field(field))
            }
        };
        let recipe = &mut self.recipe;
        let has_type =
            self.packet.protocol() == PROTOCOL_ICMP || self.packet.protocol() == PROTOCOL_ICMPV6;
        match field {
            Field::TcpFlags => recipe.tcp_flags = value as u8,
            Field::IcmpCode(_) => recipe.icmp_code = value as u8,
            Field::IcmpId(_) => recipe.icmp_id = value as u16,
            Field::IcmpSequence(_) => recipe.icmp_sequence = value as u16,
            Field::Dscp(_) => recipe.traffic_class |= (value as u8) << 2,
            Field::Ecn(_) => recipe.traffic_class |= value as u8,
            Field::ThSport if !has_type => recipe.sport = value as u16,
            Field::ThDport if !has_type => recipe.dport = value as u16,
            Field::Length | Field::NetworkLength(Family::Ip) => return self.measure(field, value),
            Field::NetworkLength(Family::Ip6) => return self.measure(field, value + 40),
            Field::EtherSaddr => self.from.copy_from_slice(&value.to_be_bytes()[10..]),
            Field::Pkttype => {
                let to = usize::try_from(value).ok();
                let to = to.and_then(|it| DESTINATIONS.get(it));
                self.to = Some(*to.ok_or(Obstacle::Field(field))?);
            }
            Field::Iiftype => return natural(ETHERNET),
            Field::Mark | Field::Priority | Field::Iifgroup | Field::Ipsec => return natural(0),
            Field::IpFragOff | Field::Exthdr(_) | Field::CtMark | Field::CtZone => {
                return natural(0);
            }
            Field::NextHeader(_) | Field::CtProtocol(_) => {
                return natural(self.packet.protocol().into());
            }
            // What the connection is made to be by `belong`.
            Field::CtDirection if self.packet.ct_state != CtState::New => {}
            Field::Fib(fib) => {
                let of_destination = (fib.of, fib.result) == (FibSource::Daddr, FibResult::Type);
                let usual = self.usual(field);
                if !of_destination || usual != Loaded::Value(value) {
                    return Err(Obstacle::Field(field));
                }
            }
            field => return Err(Obstacle::Field(field)),
        }
        Ok(())
    }

    /// What a field of the packet is when the packet does not say it.
    fn usual(&self, field: Field) -> Loaded {
        let mut silent = self.packet.clone();
        silent.facts.remove(&field);
        silent.load(field)
    }

    fn measure(&mut self, field: Field, length: u128) -> Result<(), Obstacle> {
        match self.length.replace(length) {
            Some(other) if other != length => Err(Obstacle::Field(field)),
            Some(_) | None => Ok(()),
        }
    }

    /// Has conntrack say of the packet what it shall; the connections that this takes.
    fn belong(&mut self) -> Result<Vec<Flow>, Obstacle> {
        match self.packet.ct_state {
            CtState::New | CtState::Untracked => Ok(Vec::new()),
            CtState::Invalid => {
                let summed = [PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE];
                let protocol = self.packet.protocol();
                if summed.contains(&protocol) || self.is_icmp() {
                    self.recipe.damage = Damage::Checksum;
                }
                Ok(Vec::new())
            }
            CtState::Established => self.established().map(|flow| vec![flow]),
            CtState::Related if self.is_icmp() => self.related().map(|flow| vec![flow]),
            CtState::Related => self.announced(),
        }
    }

    fn is_icmp(&self) -> bool {
        self.packet.protocol() == icmp_protocol(self.recipe.family)
    }

    /// Whether the packet goes back to who began its connection; none when that does not matter.
    fn replies(&self) -> Option<bool> {
        match self.packet.facts.get(&Field::CtDirection) {
            Some(Loaded::Value(value)) => Some(*value == u128::from(Direction::Reply as u8)),
            Some(Loaded::Absent | Loaded::Unknown) | None => None,
        }
    }

    fn established(&self) -> Result<Flow, Obstacle> {
        let recipe = &self.recipe;
        let impossible = Obstacle::State(CtState::Established);
        if !self.is_icmp() {
            let flow = self.own_flow();
            return Ok(if self.replies() == Some(true) {
                turned(flow)
            } else {
                flow
            });
        }
        let flow = self.flow(recipe.protocol, FlowEnds::Echo(recipe.icmp_id));
        let answers = match recipe.icmp_type {
            8 | 128 => false,
            0 | 129 => true,
            _ => return Err(impossible),
        };
        match self.replies() {
            Some(replies) if replies != answers => Err(impossible),
            Some(_) | None if answers => Ok(turned(flow)),
            Some(_) | None => Ok(flow),
        }
    }

    /// Has the packet be an error about a packet that the machine has sent.
    fn related(&mut self) -> Result<Flow, Obstacle> {
        let is_error = match self.recipe.family {
            Family::Ip => matches!(self.recipe.icmp_type, 3 | 4 | 5 | 11 | 12),
            Family::Ip6 => matches!(self.recipe.icmp_type, 1..=4),
        };
        if !is_error {
            return Err(Obstacle::State(CtState::Related));
        }
        let (near, far) = SUBJECT;
        let flow = self.flow(PROTOCOL_UDP, FlowEnds::Ports(near, far));
        let about = Recipe {
            saddr: self.recipe.daddr,
            daddr: self.recipe.saddr,
            protocol: PROTOCOL_UDP,
            sport: far,
            dport: near,
            hop_limit: 64,
            ..self.recipe.clone()
        };
        self.recipe.payload = about.bytes();
        // An error goes against the packet that it is about.
        Ok(if self.replies() == Some(true) {
            turned(flow)
        } else {
            flow
        })
    }

    /// The first packet of a connection that another one has announced, as that of FTP does.
    fn announced(&self) -> Result<Vec<Flow>, Obstacle> {
        if self.replies() == Some(true) {
            return Err(Obstacle::State(CtState::Related));
        }
        let (near, far) = SUBJECT;
        let from = self.flow(PROTOCOL_UDP, FlowEnds::Ports(near, far));
        Ok(vec![from, self.own_flow()])
    }

    /// The connection that the packet would begin, if it has another protocol than ICMP.
    fn own_flow(&self) -> Flow {
        let ends = match self.packet.transport {
            Transport::Ports { sport, dport, .. } => FlowEnds::Ports(sport, dport),
            Transport::Icmp { .. } | Transport::Other(_) | Transport::Fragment(_) => FlowEnds::None,
        };
        self.flow(self.recipe.protocol, ends)
    }

    /// A connection that whoever sent the packet began.
    fn flow(&self, protocol: u8, ends: FlowEnds) -> Flow {
        Flow {
            protocol,
            saddr: self.packet.addresses.saddr(),
            daddr: self.packet.addresses.daddr(),
            ends,
        }
    }

    /// Cuts the packet off or fills it up.
    fn finish(&mut self) -> Result<(), Obstacle> {
        if let Some(cut) = self.cut {
            let missing = in_order().into_iter().filter(|(_, end)| *end > cut);
            let mut missing = missing.map(|(field, _)| self.packet.load(field));
            if missing.any(|it| matches!(it, Loaded::Value(_))) {
                return Err(Obstacle::CutShort);
            }
            self.recipe.damage = Damage::Truncated(cut);
        }
        let Some(wanted) = self.length else {
            return Ok(());
        };
        let field = Field::Length;
        let wanted = usize::try_from(wanted).map_err(|_| Obstacle::Field(field))?;
        let missing = wanted.checked_sub(self.recipe.bytes().len());
        match missing {
            Some(0) => Ok(()),
            Some(missing) if self.cut.is_none() && wanted <= usize::from(u16::MAX) => {
                let length = self.recipe.payload.len() + missing;
                self.recipe.payload.resize(length, 0);
                Ok(())
            }
            Some(_) | None => Err(Obstacle::Field(field)),
        }
    }
}

/// The fields of transport headers that packets may be without, each with its last byte's number.
fn in_order() -> Vec<(Field, u8)> {
    let mut fields = vec![
        (Field::ThSport, 2),
        (Field::ThDport, 4),
        (Field::TcpFlags, BEFORE_FLAGS + 1),
    ];
    for family in Family::BOTH {
        fields.extend([
            (Field::IcmpType(family), 1),
            (Field::IcmpCode(family), 2),
            (Field::IcmpId(family), 6),
            (Field::IcmpSequence(family), 8),
        ]);
    }
    fields
}

/// The same connection, begun by the other side.
const fn turned(flow: Flow) -> Flow {
    let (saddr, daddr): (IpAddr, IpAddr) = (flow.daddr, flow.saddr);
    Flow {
        saddr,
        daddr,
        ends: match flow.ends {
            FlowEnds::Ports(sport, dport) => FlowEnds::Ports(dport, sport),
            same @ (FlowEnds::Echo(_) | FlowEnds::None) => same,
        },
        ..flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packet that is explained so: the flows that it finds, or why there is none.
    fn check(packet: &str, expected: Result<usize, Obstacle>) {
        let packet = packet
            .parse()
            .unwrap_or_else(|error| panic!("{packet}: {error}"));
        let shot = aim(&packet, 0, 1);
        assert_eq!(shot.map(|shot| shot.finds.len()), expected, "{packet:?}");
    }

    #[test]
    fn what_is_not_certain_to_be_as_it_should_is_not_sent() {
        const TCP: &str = "tcp 192.0.2.7:40000 to 198.51.100.10:22";
        const ECHO: &str = "icmp echo-request 192.0.2.7 to 198.51.100.10";
        const ERROR: &str = "icmp time-exceeded 192.0.2.7 to 198.51.100.10";
        let field = |field| Err(Obstacle::Field(field));
        check(TCP, Ok(0));
        check(&format!("{TCP} established"), Ok(1));
        check(&format!("{TCP} related"), Ok(2));
        check(&format!("{TCP} related ct direction reply"), {
            Err(Obstacle::State(CtState::Related))
        });
        check(&format!("{ECHO} established"), Ok(1));
        check(&format!("{ECHO} established ct direction reply"), {
            Err(Obstacle::State(CtState::Established))
        });
        check(&format!("{ERROR} related icmp code 0"), Ok(1));
        check(&format!("{ECHO} related"), {
            Err(Obstacle::State(CtState::Related))
        });
        check(&format!("{TCP} meta mark 5"), field(Field::Mark));
        check(&format!("{TCP} meta skuid 5"), field(Field::Skuid));
        check(&format!("{TCP} meta skuid absent"), Ok(0));
        check(&format!("{TCP} invalid tcp flags unknown"), Ok(0));
        check("output eth0 udp 192.0.2.7 to 198.51.100.10:53", {
            Err(Obstacle::Hook(Hook::Output))
        });
        check(
            "fragment 17 192.0.2.7 to 198.51.100.10",
            Err(Obstacle::Fragment),
        );
    }

    #[test]
    fn lengths_are_as_they_should_be() {
        let shot = |text: &str| aim(&text.parse().expect("a packet"), 0, 1);
        let packet = "udp 192.0.2.7:1 to 198.51.100.10:53";
        let frame = shot(&format!("{packet} meta length 100"))
            .expect("made")
            .frame;
        assert_eq!(frame.len(), 14 + 100);
        let packet = "udp [2001:db8::7]:1 to [2001:db8::10]:53";
        let frame = shot(&format!("{packet} ip6 length 100"))
            .expect("made")
            .frame;
        assert_eq!(frame.len(), 14 + 40 + 100);
        let short = shot(&format!("{packet} meta length 20"));
        assert_eq!(short.map(|_| ()), Err(Obstacle::Field(Field::Length)));
    }
}
