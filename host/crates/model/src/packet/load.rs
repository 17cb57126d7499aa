//! What the kernel loads from a packet.

use super::{CtState, Hook, Packet, Transport};
use crate::address::{Family, address_bits};
use crate::field::{Fib, FibResult, FibSource, Field, interface};
use crate::icmp;

/// What loading a field gives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Loaded {
    /// A number.
    Value(u128),
    /// Nothing: the packet does not have the field, and the rule ends there (`NFT_BREAK`).
    Absent,
    /// It is not known what.
    Unknown,
}

/// Index of the loopback interface (`LOOPBACK_IFINDEX` in `net/flow.h`).
const LOOPBACK_INDEX: u8 = 1;
/// `ETH_P_IP` and `ETH_P_IPV6` in `linux/if_ether.h`.
const ETHERTYPE: [u16; 2] = [0x0800, 0x86dd];
/// SYN, in `tcp flags`.
const SYN: u8 = 2;
/// `PACKET_HOST` and `PACKET_MULTICAST` in `linux/if_packet.h`.
const TO_HOST: u8 = 0;
const TO_MULTICAST: u8 = 2;
/// `RTN_LOCAL`, `RTN_BROADCAST` and `RTN_MULTICAST` in `linux/rtnetlink.h`.
const LOCAL: u8 = 2;
const BROADCAST: u8 = 3;
const MULTICAST: u8 = 5;

impl Packet {
    /// What the kernel loads from the packet for `field` at the packet's own hook.
    #[must_use]
    pub fn load(&self, field: Field) -> Loaded {
        self.load_at(self.hook, field)
    }

    /// What the kernel loads from the packet for `field` at `hook`, on the packet's way.
    ///
    /// What the packet does not say is what it is in an ordinary packet of its kind, where there
    /// is only one such value: no mark, SYN in the first packet of a TCP connection, a local
    /// destination at input. Everything else is unknown.
    #[must_use]
    pub fn load_at(&self, hook: Hook, field: Field) -> Loaded {
        let family = self.addresses.family();
        let other_family = field.family().is_some_and(|needed| needed != family);
        let protocol = field.protocol();
        if other_family || protocol.is_some_and(|needed| needed != self.protocol()) {
            return Loaded::Absent;
        }
        if field.is_of_connection() && !self.has_connection() {
            return Loaded::Absent;
        }
        if let Some(said) = self.facts.get(&field) {
            return *said;
        }
        if field.is_of_transport() {
            return self.transport_header(field);
        }
        if field.is_of_connection() {
            return self.connection(field);
        }
        // One hop is taken between the two hooks, and the packet says how many it has at its own.
        let before_hop = hook == Hook::Prerouting && self.hook == Hook::Forward;
        if before_hop && matches!(field, Field::HopLimit(_)) {
            return Loaded::Unknown;
        }
        self.network_header(hook, field)
    }

    /// What the network header says, or what else is known.
    fn network_header(&self, hook: Hook, field: Field) -> Loaded {
        let family = self.addresses.family();
        let small = |number: u8| Loaded::Value(number.into());
        match field {
            Field::Nfproto => small(family.number()),
            Field::Saddr(_) => Loaded::Value(address_bits(self.addresses.saddr())),
            Field::Daddr(_) => Loaded::Value(address_bits(self.addresses.daddr())),
            Field::HopLimit(_) => small(self.hop_limit),
            Field::L4proto => small(self.protocol()),
            Field::NextHeader(Family::Ip) => small(self.protocol()),
            // `NEXTHDR_FRAGMENT` in `net/ipv6.h`.
            Field::NextHeader(Family::Ip6) => match self.transport {
                Transport::Fragment(_) => small(44),
                _ => small(self.protocol()),
            },
            Field::Exthdr(44) => small(matches!(self.transport, Transport::Fragment(_)).into()),
            Field::Exthdr(_) => small(0),
            Field::Protocol => Loaded::Value(match family {
                Family::Ip => ETHERTYPE[0].into(),
                Family::Ip6 => ETHERTYPE[1].into(),
            }),
            _ => self.surroundings(hook, field),
        }
    }

    fn transport_header(&self, field: Field) -> Loaded {
        match (field, self.transport) {
            (Field::Sport(_) | Field::ThSport, Transport::Ports { sport, .. }) => {
                Loaded::Value(sport.into())
            }
            (Field::Dport(_) | Field::ThDport, Transport::Ports { dport, .. }) => {
                Loaded::Value(dport.into())
            }
            // A connection begins with SYN alone; of later packets nothing is certain.
            (Field::TcpFlags, Transport::Ports { .. }) if self.ct_state == CtState::New => {
                Loaded::Value(SYN.into())
            }
            (Field::IcmpType(_), Transport::Icmp { icmp_type }) => Loaded::Value(icmp_type.into()),
            (Field::IcmpCode(family), Transport::Icmp { icmp_type }) => {
                if icmp::has_codes(family, icmp_type) {
                    Loaded::Unknown
                } else {
                    Loaded::Value(0)
                }
            }
            // What stands there is some number, but not one that means anything.
            _ => Loaded::Unknown,
        }
    }

    /// Whether the packet belongs to a connection that conntrack knows.
    pub(super) const fn has_connection(&self) -> bool {
        match self.ct_state {
            CtState::Invalid | CtState::Untracked => false,
            CtState::Established | CtState::Related | CtState::New => true,
        }
    }

    fn connection(&self, field: Field) -> Loaded {
        let begins = self.ct_state != CtState::Established;
        let family = self.addresses.family();
        match field {
            Field::CtDirection | Field::CtMark if begins => Loaded::Value(0),
            Field::CtL3proto => Loaded::Value(family.number().into()),
            Field::CtProtocol(_) if begins => Loaded::Value(self.protocol().into()),
            _ => Loaded::Unknown,
        }
    }

    fn surroundings(&self, hook: Hook, field: Field) -> Loaded {
        if !field.is_known_at(hook) {
            // What is loaded of an interface where there is none yet, or none any more, is not the
            // same in every kernel.
            return Loaded::Unknown;
        }
        match field {
            Field::Iifname => name(&self.iifname),
            Field::Oifname => name(&self.oifname),
            Field::Iif if self.iifname == "lo" => Loaded::Value(LOOPBACK_INDEX.into()),
            Field::Oif if self.oifname == "lo" => Loaded::Value(LOOPBACK_INDEX.into()),
            Field::Mark | Field::Ipsec => Loaded::Value(0),
            Field::CtState => Loaded::Value(self.ct_state as u128),
            Field::Pkttype if self.iifname != "lo" && self.arrives() => {
                Loaded::Value(if self.addresses.daddr().is_multicast() {
                    TO_MULTICAST.into()
                } else {
                    TO_HOST.into()
                })
            }
            Field::Fib(fib) => self.route(fib),
            _ => Loaded::Unknown,
        }
    }

    /// Whether the packet came from outside and has this machine for its destination.
    fn arrives(&self) -> bool {
        self.hook == Hook::Input
    }

    /// What an ordinary machine's routing tables say: where a packet is delivered here, its
    /// destination is an address of this machine.
    fn route(&self, fib: Fib) -> Loaded {
        let asks_destination = fib.of == FibSource::Daddr && fib.result == FibResult::Type;
        if !asks_destination || !self.arrives() {
            return Loaded::Unknown;
        }
        let daddr = self.addresses.daddr();
        let of_type = match daddr {
            core::net::IpAddr::V4(address) if address.is_broadcast() => BROADCAST,
            _ if daddr.is_multicast() => MULTICAST,
            _ => LOCAL,
        };
        Loaded::Value(of_type.into())
    }
}

/// The number of an interface's name; empty where the packet does not say which one it is.
fn name(name: &str) -> Loaded {
    match interface::number(name) {
        _ if name.is_empty() => Loaded::Unknown,
        Some(number) => Loaded::Value(number),
        None => Loaded::Absent,
    }
}
