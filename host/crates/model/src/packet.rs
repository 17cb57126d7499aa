//! One packet at one hook, as the rules of that hook see it.

use alloc::string::{String, ToString};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::address::{Family, address_bits};
use crate::diagnostic::Quoted;
use crate::field::{
    Field, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, PortProtocol, icmp_protocol,
};
use crate::icmp;
use crate::names::InterfaceName;

/// The netfilter hook at which a base chain sees packets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hook {
    /// Everything that arrives, before routing.
    Prerouting,
    /// What is addressed to this machine.
    Input,
    /// What passes through this machine.
    Forward,
    /// What this machine sends.
    Output,
    /// Everything that leaves, after routing.
    Postrouting,
}

impl Hook {
    /// Every hook, in the order a packet meets them.
    pub const ALL: [Self; 5] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
    ];

    /// nft's name.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    /// The hook that nft calls `word`.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.keyword() == word)
    }

    /// Whether the packet's own interface is the one it leaves by.
    const fn is_outbound(self) -> bool {
        matches!(self, Self::Output | Self::Postrouting)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// What conntrack says of a packet: exactly one of these.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CtState {
    /// Conntrack cannot make sense of the packet.
    Invalid,
    /// Part of a connection that has seen packets in both directions.
    Established,
    /// Begins a connection that belongs to another one, or is an error about one.
    Related,
    /// Begins a connection.
    New,
    /// Conntrack was told to leave the packet alone; neighbour discovery always is.
    Untracked,
}

impl CtState {
    /// Every state, by number.
    pub const ALL: [Self; 5] = [
        Self::Invalid,
        Self::Established,
        Self::Related,
        Self::New,
        Self::Untracked,
    ];

    /// nft's name.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Established => "established",
            Self::Related => "related",
            Self::New => "new",
            Self::Untracked => "untracked",
        }
    }

    /// The state that nft calls `word`.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.keyword() == word)
    }
}

/// The source and destination of a packet; both have one family.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Addresses {
    /// IPv4.
    Ip {
        /// Source.
        saddr: Ipv4Addr,
        /// Destination.
        daddr: Ipv4Addr,
    },
    /// IPv6.
    Ip6 {
        /// Source.
        saddr: Ipv6Addr,
        /// Destination.
        daddr: Ipv6Addr,
    },
}

impl Addresses {
    /// The two addresses, or `None` when their families differ.
    #[must_use]
    pub const fn new(saddr: IpAddr, daddr: IpAddr) -> Option<Self> {
        match (saddr, daddr) {
            (IpAddr::V4(saddr), IpAddr::V4(daddr)) => Some(Self::Ip { saddr, daddr }),
            (IpAddr::V6(saddr), IpAddr::V6(daddr)) => Some(Self::Ip6 { saddr, daddr }),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// The family of both.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Ip { .. } => Family::Ip,
            Self::Ip6 { .. } => Family::Ip6,
        }
    }

    /// The source.
    #[must_use]
    pub const fn saddr(self) -> IpAddr {
        match self {
            Self::Ip { saddr, .. } => IpAddr::V4(saddr),
            Self::Ip6 { saddr, .. } => IpAddr::V6(saddr),
        }
    }

    /// The destination.
    #[must_use]
    pub const fn daddr(self) -> IpAddr {
        match self {
            Self::Ip { daddr, .. } => IpAddr::V4(daddr),
            Self::Ip6 { daddr, .. } => IpAddr::V6(daddr),
        }
    }
}

/// The transport header, as far as rules can look into it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// TCP or UDP.
    Ports {
        /// Which of the two.
        protocol: PortProtocol,
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
    },
    /// The ICMP that belongs to the packet's family.
    Icmp {
        /// The type of the message.
        icmp_type: u8,
    },
    /// Any other protocol, by number; also one family's ICMP inside the other family.
    Other(u8),
}

/// A packet at a hook.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Packet {
    /// Where the packet is.
    pub hook: Hook,
    /// The interface it came in by; empty where the hook does not know it.
    pub iifname: String,
    /// The interface it goes out by; empty where the hook does not know it.
    pub oifname: String,
    /// Source and destination address.
    pub addresses: Addresses,
    /// `ip ttl` or `ip6 hoplimit`.
    pub hop_limit: u8,
    /// The transport header.
    pub transport: Transport,
    /// Conntrack's word on it.
    pub ct_state: CtState,
}

impl Packet {
    /// The value of a numeric field, or `None` when the packet does not have it. A match on a
    /// field that the packet does not have fails, negated or not.
    #[must_use]
    pub fn load(&self, field: Field) -> Option<u128> {
        let family = self.addresses.family();
        if field.family().is_some_and(|needed| needed != family)
            || field
                .protocol()
                .is_some_and(|needed| needed != self.protocol())
        {
            return None;
        }
        match (field, self.transport) {
            (Field::Nfproto, _) => Some(family.number().into()),
            (Field::Saddr(_), _) => Some(address_bits(self.addresses.saddr())),
            (Field::Daddr(_), _) => Some(address_bits(self.addresses.daddr())),
            (Field::HopLimit(_), _) => Some(self.hop_limit.into()),
            (Field::L4proto, _) => Some(self.protocol().into()),
            (Field::Sport(_), Transport::Ports { sport, .. }) => Some(sport.into()),
            (Field::Dport(_), Transport::Ports { dport, .. }) => Some(dport.into()),
            (Field::IcmpType(_), Transport::Icmp { icmp_type }) => Some(icmp_type.into()),
            (Field::CtState, _) => Some(self.ct_state as u128),
            (Field::Sport(_) | Field::Dport(_) | Field::IcmpType(_), _)
            | (Field::Iifname | Field::Oifname, _) => None,
        }
    }

    /// The transport protocol's number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Ports { protocol, .. } => protocol.number(),
            Transport::Icmp { .. } => icmp_protocol(self.addresses.family()),
            Transport::Other(number) => number,
        }
    }

    /// The interface that the packet is said to be on: where it came in, or where it goes out.
    fn interface(&self) -> &str {
        if self.hook.is_outbound() {
            &self.oifname
        } else {
            &self.iifname
        }
    }
}

/// What an honest sender puts into the hop limit of such a packet.
const fn usual_hop_limit(family: Family, transport: Transport) -> u8 {
    match (family, transport) {
        (Family::Ip6, Transport::Icmp { icmp_type }) => {
            if icmp::is_neighbour_discovery(icmp_type) {
                255
            } else if icmp::is_listener_discovery(icmp_type) {
                1
            } else {
                64
            }
        }
        _ => 64,
    }
}

/// What conntrack says of such a packet when nothing came before it: discovery on the link is never
/// tracked, and of the other messages only a request can begin anything
/// (`nf_conntrack_proto_icmpv6.c`, `nf_conntrack_proto_icmp.c`).
const fn usual_ct_state(family: Family, transport: Transport) -> CtState {
    let Transport::Icmp { icmp_type } = transport else {
        return CtState::New;
    };
    match (family, icmp_type) {
        (Family::Ip6, 130..=136 | 143) => CtState::Untracked,
        (Family::Ip6, 128 | 139) | (Family::Ip, 8 | 13 | 15 | 17) => CtState::New,
        _ => CtState::Invalid,
    }
}

/// `eth0 tcp 192.0.2.7:40000 > 192.0.2.10:22 new`; see [`Packet::from_str`] for the grammar.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hook != Hook::Input {
            write!(f, "{} ", self.hook)?;
        }
        match self.hook {
            Hook::Forward => write!(f, "iifname {} oifname {} ", self.iifname, self.oifname)?,
            _ => write!(f, "{} ", self.interface())?,
        }
        let (saddr, daddr) = (self.addresses.saddr(), self.addresses.daddr());
        let family = self.addresses.family();
        match self.transport {
            Transport::Ports {
                protocol,
                sport,
                dport,
            } => {
                let (from, to) = (Endpoint(saddr, sport), Endpoint(daddr, dport));
                write!(f, "{} {from} > {to}", protocol.keyword())?;
            }
            Transport::Icmp { icmp_type } => {
                let protocol = if family == Family::Ip {
                    "icmp"
                } else {
                    "icmpv6"
                };
                match icmp::type_name(family, icmp_type) {
                    Some(name) => write!(f, "{protocol} {name} {saddr} > {daddr}")?,
                    None => write!(f, "{protocol} {icmp_type} {saddr} > {daddr}")?,
                }
            }
            Transport::Other(number) => write!(f, "protocol {number} {saddr} > {daddr}")?,
        }
        write!(f, " {}", self.ct_state.keyword())?;
        if self.hop_limit != usual_hop_limit(family, self.transport) {
            write!(f, " hoplimit {}", self.hop_limit)?;
        }
        Ok(())
    }
}

/// An address with a port, as people write it.
struct Endpoint(IpAddr, u16);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.1),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.1),
        }
    }
}

/// Why a text is not a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PacketError {
    message: String,
}

impl PacketError {
    fn new(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
        }
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for PacketError {}

/// Reads a packet as [`fmt::Display`] writes it:
///
/// ```text
/// [HOOK] [INTERFACE] tcp|udp SOURCE[:PORT] > DESTINATION:PORT [STATE] [hoplimit N]
/// [HOOK] [INTERFACE] icmp|icmpv6 TYPE SOURCE > DESTINATION    [STATE] [hoplimit N]
/// [HOOK] [INTERFACE] protocol N SOURCE > DESTINATION          [STATE] [hoplimit N]
/// ```
///
/// Left out, the hook is `input`, the interface `eth0`, the source port 40000, and the state and
/// the hop limit are what a first honest packet of its kind has. `INTERFACE` is the one that the
/// packet comes in by, or goes out by at `output` and `postrouting`; `iifname NAME` and
/// `oifname NAME` say which. An IPv6 address with a port stands in brackets.
impl FromStr for Packet {
    type Err = PacketError;

    fn from_str(text: &str) -> Result<Self, PacketError> {
        let mut words = Words(text.split_ascii_whitespace().peekable());
        let (hook, iifname, oifname) = words.place()?;
        let (addresses, transport) = words.headers()?;
        let family = addresses.family();
        let (mut ct_state, mut hop_limit) = (None, None);
        while let Some(word) = words.0.next() {
            let (what, again) = if let Some(state) = CtState::from_keyword(word) {
                ("ct state", ct_state.replace(state).is_some())
            } else if matches!(word, "hoplimit" | "ttl") {
                let limit = number(words.next("a hop limit")?, "a hop limit")?;
                ("hop limit", hop_limit.replace(limit).is_some())
            } else {
                return Err(PacketError::new(alloc::format!(
                    "`{}` is neither a ct state nor `hoplimit N`",
                    word.escape_debug()
                )));
            };
            if again {
                return Err(PacketError::new(alloc::format!("the {what} is said twice")));
            }
        }
        Ok(Self {
            hook,
            iifname,
            oifname,
            addresses,
            hop_limit: hop_limit.unwrap_or(usual_hop_limit(family, transport)),
            transport,
            ct_state: ct_state.unwrap_or(usual_ct_state(family, transport)),
        })
    }
}

/// The words of a packet's text that are left to read.
struct Words<'a>(core::iter::Peekable<core::str::SplitAsciiWhitespace<'a>>);

impl<'a> Words<'a> {
    fn next(&mut self, wanted: &str) -> Result<&'a str, PacketError> {
        self.0
            .next()
            .ok_or_else(|| PacketError::new(alloc::format!("{wanted} is missing")))
    }

    /// Hook, incoming and outgoing interface.
    fn place(&mut self) -> Result<(Hook, String, String), PacketError> {
        let hook = self.0.peek().and_then(|word| Hook::from_keyword(word));
        if hook.is_some() {
            self.0.next();
        }
        let hook = hook.unwrap_or(Hook::Input);
        let (mut iifname, mut oifname) = (None, None);
        while let Some(&word) = self.0.peek() {
            let slot = match word {
                "tcp" | "udp" | "icmp" | "icmpv6" | "protocol" => break,
                "iifname" | "oifname" => {
                    self.0.next();
                    if word == "iifname" {
                        &mut iifname
                    } else {
                        &mut oifname
                    }
                }
                _ if hook.is_outbound() => &mut oifname,
                _ => &mut iifname,
            };
            let name = self.next("an interface name")?;
            if let Err(error) = InterfaceName::new(name) {
                return Err(PacketError::new(alloc::format!(
                    "interface {} {error}",
                    Quoted(name)
                )));
            }
            if let Some(earlier) = slot.replace(name.to_string()) {
                return Err(PacketError::new(alloc::format!(
                    "neither `{}` nor `{}` is tcp, udp, icmp, icmpv6 or protocol",
                    earlier.escape_debug(),
                    name.escape_debug()
                )));
            }
        }
        let known = |field: Field, name: Option<String>, usual: &str| match name {
            Some(name) if field.is_known_at(hook) => Ok(name),
            Some(_) => Err(PacketError::new(alloc::format!(
                "{field} is not known at {hook}"
            ))),
            None if field.is_known_at(hook) => Ok(usual.to_string()),
            None => Ok(String::new()),
        };
        let oif_usual = if hook == Hook::Forward {
            "eth1"
        } else {
            "eth0"
        };
        Ok((
            hook,
            known(Field::Iifname, iifname, "eth0")?,
            known(Field::Oifname, oifname, oif_usual)?,
        ))
    }

    /// Protocol, addresses and what the transport header holds.
    fn headers(&mut self) -> Result<(Addresses, Transport), PacketError> {
        let protocol = self.next("a protocol (tcp, udp, icmp, icmpv6, protocol N)")?;
        match protocol {
            "tcp" | "udp" => {
                let protocol = if protocol == "tcp" {
                    PortProtocol::Tcp
                } else {
                    PortProtocol::Udp
                };
                let (addresses, sport, dport) = self.endpoints()?;
                let dport = dport.ok_or_else(|| {
                    PacketError::new("the destination has no port; write ADDRESS:PORT")
                })?;
                let sport = sport.unwrap_or(40000);
                Ok((
                    addresses,
                    Transport::Ports {
                        protocol,
                        sport,
                        dport,
                    },
                ))
            }
            "icmp" | "icmpv6" => {
                let family = if protocol == "icmp" {
                    Family::Ip
                } else {
                    Family::Ip6
                };
                let word = self.next("an ICMP type")?;
                let icmp_type = match icmp::type_number(family, word) {
                    Some(known) => known,
                    None => number(word, "an ICMP type")?,
                };
                let addresses = self.portless(protocol)?;
                if addresses.family() != family {
                    let family = family.nfproto();
                    return Err(PacketError::new(alloc::format!(
                        "{protocol} needs {family} addresses"
                    )));
                }
                Ok((addresses, Transport::Icmp { icmp_type }))
            }
            "protocol" => {
                let protocol = number(self.next("a protocol number")?, "a protocol number")?;
                let addresses = self.portless("protocol")?;
                let has_its_own_word = protocol == PROTOCOL_TCP
                    || protocol == PROTOCOL_UDP
                    || protocol == icmp_protocol(addresses.family());
                if has_its_own_word {
                    return Err(PacketError::new(alloc::format!(
                        "protocol {protocol} is written tcp ({PROTOCOL_TCP}), udp \
                         ({PROTOCOL_UDP}), icmp ({PROTOCOL_ICMP}) or icmpv6 ({PROTOCOL_ICMPV6})"
                    )));
                }
                Ok((addresses, Transport::Other(protocol)))
            }
            other => Err(PacketError::new(alloc::format!(
                "`{}` is not tcp, udp, icmp, icmpv6 or protocol",
                other.escape_debug()
            ))),
        }
    }

    fn portless(&mut self, protocol: &str) -> Result<Addresses, PacketError> {
        match self.endpoints()? {
            (addresses, None, None) => Ok(addresses),
            _ => Err(PacketError::new(alloc::format!("{protocol} has no ports"))),
        }
    }

    fn endpoints(&mut self) -> Result<(Addresses, Option<u16>, Option<u16>), PacketError> {
        let (saddr, sport) = endpoint(self.next("a source address")?)?;
        if self
            .0
            .peek()
            .is_some_and(|word| matches!(*word, ">" | "->" | "to"))
        {
            self.0.next();
        }
        let (daddr, dport) = endpoint(self.next("a destination address")?)?;
        let addresses = Addresses::new(saddr, daddr).ok_or_else(|| {
            PacketError::new(alloc::format!(
                "{saddr} and {daddr} are of different families"
            ))
        })?;
        Ok((addresses, sport, dport))
    }
}

/// `192.0.2.7`, `192.0.2.7:22`, `2001:db8::1` or `[2001:db8::1]:22`.
fn endpoint(word: &str) -> Result<(IpAddr, Option<u16>), PacketError> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok((address, None));
    }
    if let Ok(both) = word.parse::<core::net::SocketAddr>() {
        return Ok((both.ip(), Some(both.port())));
    }
    let bare = word
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare.map(str::parse::<Ipv6Addr>) {
        Some(Ok(address)) => Ok((address.into(), None)),
        _ => Err(PacketError::new(alloc::format!(
            "`{}` is not ADDRESS, IPV4:PORT or [IPV6]:PORT",
            word.escape_debug()
        ))),
    }
}

fn number(word: &str, wanted: &str) -> Result<u8, PacketError> {
    word.parse().map_err(|_| {
        PacketError::new(alloc::format!(
            "`{}` is not {wanted}, a number from 0 to 255",
            word.escape_debug()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match text.parse::<Packet>() {
            Ok(packet) => packet.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
        if let Ok(packet) = text.parse::<Packet>() {
            assert_eq!(
                expected.parse::<Packet>(),
                Ok(packet),
                "{text}: written and read back"
            );
        }
    }

    #[test]
    fn what_is_left_out_is_what_an_honest_first_packet_has() {
        check(
            "tcp 192.0.2.7 > 192.0.2.10:22",
            "eth0 tcp 192.0.2.7:40000 > 192.0.2.10:22 new",
        );
        check("lo udp [::1]:1 to [::1]:2", "lo udp [::1]:1 > [::1]:2 new");
        check(
            "icmpv6 135 fe80::1 fe80::2",
            "eth0 icmpv6 nd-neighbor-solicit fe80::1 > fe80::2 untracked",
        );
        check(
            "icmp 8 192.0.2.1 > 192.0.2.2",
            "eth0 icmp echo-request 192.0.2.1 > 192.0.2.2 new",
        );
        check(
            "icmp 0 192.0.2.1 > 192.0.2.2",
            "eth0 icmp echo-reply 192.0.2.1 > 192.0.2.2 invalid",
        );
    }

    #[test]
    fn every_part_can_be_said() {
        check(
            "output tcp 192.0.2.10:22 > 192.0.2.7:5 established ttl 3",
            "output eth0 tcp 192.0.2.10:22 > 192.0.2.7:5 established hoplimit 3",
        );
        check(
            "forward iifname wan oifname lan protocol 47 192.0.2.1 > 192.0.2.2 invalid",
            "forward iifname wan oifname lan protocol 47 192.0.2.1 > 192.0.2.2 invalid",
        );
        check(
            "protocol 1 ::1 > ::2 new hoplimit 255",
            "eth0 protocol 1 ::1 > ::2 new hoplimit 255",
        );
        let hoplimit = "eth0 icmpv6 nd-router-advert fe80::1 > ff02::1 untracked hoplimit 64";
        check(
            "icmpv6 nd-router-advert fe80::1 > ff02::1 hoplimit 64",
            hoplimit,
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        check(
            "",
            "a protocol (tcp, udp, icmp, icmpv6, protocol N) is missing",
        );
        check(
            "tcp 192.0.2.7 > 192.0.2.10",
            "the destination has no port; write ADDRESS:PORT",
        );
        check(
            "tcp 192.0.2.7 > [::1]:22",
            "192.0.2.7 and ::1 are of different families",
        );
        check(
            "tcp 192.0.2 > ::1",
            "`192.0.2` is not ADDRESS, IPV4:PORT or [IPV6]:PORT",
        );
        check(
            "eth0 sctp ::1 ::1",
            "neither `eth0` nor `sctp` is tcp, udp, icmp, icmpv6 or protocol",
        );
        check(
            "icmp 300 ::1 > ::1",
            "`300` is not an ICMP type, a number from 0 to 255",
        );
        check("icmp 8 ::1 > ::1", "icmp needs ipv4 addresses");
        check(
            "input oifname eth0 tcp ::1 > [::1]:2",
            "oifname is not known at input",
        );
        check(
            "tcp ::1 > [::1]:2 maybe",
            "`maybe` is neither a ct state nor `hoplimit N`",
        );
        check(
            "protocol 6 ::1 > ::1",
            "protocol 6 is written tcp (6), udp (17), icmp (1) or icmpv6 (58)",
        );
    }
}
