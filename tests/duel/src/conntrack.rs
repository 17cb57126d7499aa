//! What connection tracking says of each packet of a round: the parts of `nf_conntrack_*.c` that a
//! single packet on a machine without other traffic can meet.

use std::collections::HashMap;

use portreeve_model::address::Family;
use portreeve_model::field::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};
use portreeve_model::packet::CtState;
use portreeve_wire::packet::{checksum, pseudo_checksum};

use crate::dissect::Dissected;
use crate::observer::{CONNECTION_MARK, MARKING_HOP_LIMIT};

/// `IPS_SEEN_REPLY`, `IPS_ASSURED` and `IPS_CONFIRMED` in `nf_conntrack_common.h`.
const SEEN_REPLY: u32 = 1 << 1;
const ASSURED: u32 = 1 << 2;
const CONFIRMED: u32 = 1 << 3;

/// Who talks to whom: protocol, source, source port, destination, destination port; the identifier
/// of an echo is the port of who asks.
pub type Ends = (u8, u128, u32, u128, u32);

/// What answers an echo: a port that no packet can have.
pub const ECHO: u32 = 1 << 16;

/// A connection as a packet of it finds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// Who began it with whom.
    pub original: Ends,
    /// Whether the packet goes back to who began it.
    pub reply: bool,
    /// `ct status`
    pub status: u32,
    /// `ct mark`; none when a rule may have changed it for an earlier packet.
    pub mark: Option<u32>,
}

/// The connections that are there.
#[derive(Clone, Debug)]
pub struct Connections {
    known: HashMap<Ends, Status>,
    /// Whether a rule gives connections another mark.
    marked: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Status {
    replied: bool,
    assured: bool,
    mark: Option<u32>,
}

impl Connections {
    /// None yet. `marked` says whether a rule gives connections another mark.
    #[must_use]
    pub fn new(marked: bool) -> Self {
        Self {
            known: HashMap::new(),
            marked,
        }
    }

    /// A packet that only prepares a round came by, and was let through.
    pub fn prepare(&mut self, packet: &Dissected<'_>) {
        let Some(ends) = packet.ends() else { return };
        if let Some(status) = self.known.get_mut(&turned(ends)) {
            status.replied = true;
        } else if let Some(status) = self.known.get_mut(&ends) {
            status.assured = status.replied && ends.0 == PROTOCOL_TCP;
        } else {
            let mark = if packet.hop_limit() == MARKING_HOP_LIMIT {
                CONNECTION_MARK
            } else {
                0
            };
            let begun = Status {
                mark: Some(mark),
                ..Status::default()
            };
            self.known.insert(ends, begun);
        }
    }

    /// What conntrack says of a packet that it is to track, and of its connection.
    pub fn judge(
        &mut self,
        packet: &Dissected<'_>,
        received: bool,
    ) -> (CtState, Option<Connection>) {
        if packet.is_wrong(received) {
            return (CtState::Invalid, None);
        }
        if let Some(inner) = packet.about() {
            return match self.find(inner) {
                // An error goes the other way than the packet it is about.
                Some((connection, _)) => {
                    self.pass(&Connection {
                        reply: false,
                        ..connection
                    });
                    let connection = Connection {
                        reply: !connection.reply,
                        ..connection
                    };
                    (CtState::Related, Some(connection))
                }
                None => (CtState::Invalid, None),
            };
        }
        let Some(ends) = packet.ends() else {
            return packet.begins(packet.anonymous_ends());
        };
        match self.find(ends) {
            Some((mut connection, established)) => {
                self.pass(&connection);
                if connection.reply {
                    connection.status |= SEEN_REPLY;
                }
                let state = if established {
                    CtState::Established
                } else {
                    CtState::New
                };
                (state, Some(connection))
            }
            None => packet.begins(ends),
        }
    }

    /// Another packet of the connection goes through the rules.
    fn pass(&mut self, connection: &Connection) {
        if let Some(status) = self.known.get_mut(&connection.original) {
            status.replied |= connection.reply;
            status.mark = status.mark.filter(|_| !self.marked);
        }
    }

    /// The connection with these ends, and whether a packet of it belongs to an established one.
    fn find(&self, ends: Ends) -> Option<(Connection, bool)> {
        let find = |original: Ends, reply: bool| {
            let status = self.known.get(&original)?;
            let bits = CONFIRMED
                | if status.replied { SEEN_REPLY } else { 0 }
                | if status.assured { ASSURED } else { 0 };
            let connection = Connection {
                original,
                reply,
                status: bits,
                mark: status.mark,
            };
            Some((connection, reply || status.replied))
        };
        find(ends, false).or_else(|| find(turned(ends), true))
    }
}

/// The same connection, seen from its other end.
#[must_use]
pub const fn turned((protocol, saddr, sport, daddr, dport): Ends) -> Ends {
    (protocol, daddr, dport, saddr, sport)
}

impl Dissected<'_> {
    /// Who talks to whom, of what conntrack tells apart by ports or identifiers.
    fn ends(&self) -> Option<Ends> {
        let word = |at: usize| {
            let bytes = self.transport.get(at..at + 2)?;
            Some(u32::from(u16::from_be_bytes([bytes[0], bytes[1]])))
        };
        let (sport, dport) = match (self.protocol, self.family) {
            (PROTOCOL_TCP | PROTOCOL_UDP, _) => (word(0)?, word(2)?),
            // A request and its answer are one connection; two requests are two.
            (PROTOCOL_ICMP, Family::Ip) | (PROTOCOL_ICMPV6, Family::Ip6) => {
                match self.transport.first()? {
                    8 | 128 => (word(4)?, ECHO),
                    0 | 129 => (ECHO, word(4)?),
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some((self.protocol, self.saddr, sport, self.daddr, dport))
    }

    fn anonymous_ends(&self) -> Ends {
        (self.protocol, self.saddr, 0, self.daddr, 0)
    }

    /// The ends of the packet that this one, an ICMP error, is about.
    fn about(&self) -> Option<Ends> {
        let of_error = match (self.protocol, self.family) {
            (PROTOCOL_ICMP, Family::Ip) => {
                matches!(self.transport.first(), Some(3 | 4 | 5 | 11 | 12))
            }
            (PROTOCOL_ICMPV6, Family::Ip6) => self.transport.first().is_some_and(|it| *it < 128),
            _ => false,
        };
        if !of_error {
            return None;
        }
        let nobody = (0, 0, 0, 0, 0);
        let inner = self.transport.get(8..).and_then(Dissected::of);
        // Nobody's packet is one that no connection is known for.
        Some(inner.and_then(|inner| inner.ends()).unwrap_or(nobody))
    }

    /// What conntrack says of the packet where nothing is known of such a connection.
    fn begins(&self, ends: Ends) -> (CtState, Option<Connection>) {
        let first = self.transport.first().copied().unwrap_or_default();
        let state = match (self.protocol, self.family) {
            (PROTOCOL_TCP, _) => {
                let flags = self.transport.get(13).copied().unwrap_or_default();
                match flags & 0x17 {
                    // SYN alone, or an acknowledgement in the middle of something
                    // (`nf_conntrack_tcp_loose`).
                    0x02 | 0x10 => CtState::New,
                    _ => CtState::Invalid,
                }
            }
            (PROTOCOL_ICMP, Family::Ip) => match first {
                8 | 13 | 15 | 17 => CtState::New,
                _ => CtState::Invalid,
            },
            (PROTOCOL_ICMPV6, Family::Ip6) => match first {
                // `noct_valid_new` in `nf_conntrack_proto_icmpv6.c`.
                130..=136 | 143 | 151 | 152 => CtState::Untracked,
                128 | 139 => CtState::New,
                _ => CtState::Invalid,
            },
            _ => CtState::New,
        };
        let connection = Connection {
            original: ends,
            reply: false,
            status: 0,
            mark: Some(0),
        };
        (state, (state == CtState::New).then_some(connection))
    }

    /// Whether the checksum of a TCP or UDP header is wrong.
    #[must_use]
    pub fn has_wrong_checksum(&self) -> bool {
        let addresses = [self.saddr, self.daddr];
        pseudo_checksum(self.family, addresses, self.protocol, self.transport) != 0
    }

    /// Whether conntrack finds the packet malformed: too short, with flags that no honest sender
    /// sets together, or with a wrong checksum, which it checks of received packets only.
    fn is_wrong(&self, received: bool) -> bool {
        let sum = |of_pseudo: bool| {
            if of_pseudo {
                let addresses = [self.saddr, self.daddr];
                pseudo_checksum(self.family, addresses, self.protocol, self.transport) != 0
            } else {
                checksum(&[self.transport]) != 0
            }
        };
        match (self.protocol, self.family) {
            (PROTOCOL_TCP, _) => {
                let Some(flags) = self.transport.get(..20).map(|header| header[13]) else {
                    return true;
                };
                // `tcp_valid_flags` in `nf_conntrack_proto_tcp.c`, without ECE, CWR and PSH.
                let sane = matches!(
                    flags & 0x37,
                    0x02 | 0x22 | 0x12 | 0x04 | 0x14 | 0x11 | 0x31 | 0x10 | 0x30
                );
                !sane || received && sum(true)
            }
            (PROTOCOL_UDP, _) => self.transport.len() < 8 || received && sum(true),
            (PROTOCOL_ICMP, Family::Ip) => {
                self.transport.len() < 8
                    || received && sum(false)
                    || self.transport.first().is_some_and(|it| *it > 18)
            }
            (PROTOCOL_ICMPV6, Family::Ip6) => self.transport.len() < 8 || received && sum(true),
            _ => false,
        }
    }
}
