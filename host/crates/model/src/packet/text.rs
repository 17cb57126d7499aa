//! A packet as people write it.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

use super::{Addresses, CtState, Hook, Loaded, Packet, Transport, facts};
use crate::address::Family;
use crate::diagnostic::Quoted;
use crate::field::{Field, PortProtocol, icmp_protocol};
use crate::icmp;
use crate::names::InterfaceName;

/// The words that headers begin with.
const PROTOCOLS: [&str; 9] = [
    "tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "protocol", "fragment",
];

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
        (Family::Ip6, 130..=136 | 143 | 151 | 152) => CtState::Untracked,
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
            hook if begins_something(self.interface()) => {
                let side = if hook.is_outbound() {
                    "oifname"
                } else {
                    "iifname"
                };
                write!(f, "{side} {} ", self.interface())?;
            }
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
            Transport::Fragment(number) => write!(f, "fragment {number} {saddr} > {daddr}")?,
        }
        write!(f, " {}", self.ct_state.keyword())?;
        if self.hop_limit != usual_hop_limit(family, self.transport) {
            write!(f, " hoplimit {}", self.hop_limit)?;
        }
        for (field, loaded) in &self.facts {
            write!(f, " {}", facts::text(*field, *loaded))?;
        }
        Ok(())
    }
}

/// Whether a name that stands alone where an interface may stand is read as something else.
fn begins_something(name: &str) -> bool {
    Hook::from_keyword(name).is_some()
        || PROTOCOLS.contains(&name)
        || matches!(name, "iifname" | "oifname")
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
/// [HOOK] [INTERFACE] tcp|udp|… SOURCE[:PORT] > DESTINATION:PORT [STATE] [hoplimit N] [FACT…]
/// [HOOK] [INTERFACE] icmp|icmpv6 TYPE SOURCE > DESTINATION      [STATE] [hoplimit N] [FACT…]
/// [HOOK] [INTERFACE] protocol N SOURCE > DESTINATION            [STATE] [hoplimit N] [FACT…]
/// [HOOK] [INTERFACE] fragment N SOURCE > DESTINATION            [STATE] [hoplimit N] [FACT…]
/// ```
///
/// A `FACT` is a field and its value in nft's words, `meta mark 0x5` or `tcp flags syn,ack`; the
/// value may be `unknown`, or `absent` when the packet does not have the field. Left out, the hook
/// is `input`, the interface `eth0`, the source port 40000, and the state and the hop limit are
/// what a first honest packet of its kind has. `INTERFACE` is the one that the packet comes in by,
/// or goes out by at `output` and `postrouting`; `iifname NAME` and `oifname NAME` say which. An
/// IPv6 address with a port stands in brackets.
impl FromStr for Packet {
    type Err = PacketError;

    fn from_str(text: &str) -> Result<Self, PacketError> {
        let mut words = Words(text.split_ascii_whitespace().peekable());
        let (hook, iifname, oifname) = words.place()?;
        let (addresses, transport) = words.headers()?;
        let family = addresses.family();
        let rest = words.rest()?;
        let packet = Self {
            hook,
            iifname,
            oifname,
            addresses,
            hop_limit: rest.hop_limit.unwrap_or(usual_hop_limit(family, transport)),
            transport,
            ct_state: rest.ct_state.unwrap_or(usual_ct_state(family, transport)),
            facts: rest.facts,
        };
        let mut fields = packet.facts.keys();
        match fields.find_map(|field| facts::contradiction(&packet, *field)) {
            Some(contradiction) => Err(PacketError::new(contradiction)),
            None => Ok(packet),
        }
    }
}

/// What may be said after the headers.
#[derive(Default)]
struct Rest {
    ct_state: Option<CtState>,
    hop_limit: Option<u8>,
    facts: BTreeMap<Field, Loaded>,
}

/// The words of a packet's text that are left to read.
struct Words<'a>(core::iter::Peekable<core::str::SplitAsciiWhitespace<'a>>);

impl<'a> Words<'a> {
    fn next(&mut self, wanted: &str) -> Result<&'a str, PacketError> {
        self.0
            .next()
            .ok_or_else(|| PacketError::new(alloc::format!("{wanted} is missing")))
    }

    /// State, hop limit and facts, in any order.
    fn rest(&mut self) -> Result<Rest, PacketError> {
        let mut rest = Rest::default();
        let words: Vec<&str> = self.0.by_ref().collect();
        let mut words = words.as_slice();
        while let [word, after @ ..] = words {
            let (what, again) = if let Some(state) = CtState::from_keyword(word) {
                words = after;
                (
                    "ct state".to_string(),
                    rest.ct_state.replace(state).is_some(),
                )
            } else if matches!(*word, "hoplimit" | "ttl") {
                let [limit, after @ ..] = after else {
                    return Err(PacketError::new("a hop limit is missing"));
                };
                words = after;
                let limit = number(limit, "a hop limit")?;
                (
                    "hop limit".to_string(),
                    rest.hop_limit.replace(limit).is_some(),
                )
            } else {
                let (field, loaded, taken) = facts::read(words).map_err(PacketError::new)?;
                words = &words[taken..];
                let again = rest.facts.insert(field, loaded).is_some();
                (alloc::format!("`{field}`"), again)
            };
            if again {
                return Err(PacketError::new(alloc::format!("the {what} is said twice")));
            }
        }
        Ok(rest)
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
                word if PROTOCOLS.contains(&word) => break,
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
                    "neither {} nor {} is {}",
                    Quoted(&earlier),
                    Quoted(name),
                    protocols()
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
        let mut with_ports = PortProtocol::ALL.into_iter();
        if let Some(of_ports) = with_ports.find(|it| it.keyword() == protocol) {
            return self.ports(of_ports);
        }
        match protocol {
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
                match own_word(protocol, addresses.family()) {
                    Some(word) => Err(PacketError::new(alloc::format!(
                        "protocol {protocol} is written `{word}`"
                    ))),
                    None => Ok((addresses, Transport::Other(protocol))),
                }
            }
            "fragment" => {
                let protocol = number(self.next("a protocol number")?, "a protocol number")?;
                Ok((self.portless("a fragment")?, Transport::Fragment(protocol)))
            }
            other => Err(PacketError::new(alloc::format!(
                "{} is not {}",
                Quoted(other),
                protocols()
            ))),
        }
    }

    fn ports(&mut self, protocol: PortProtocol) -> Result<(Addresses, Transport), PacketError> {
        let (addresses, sport, dport) = self.endpoints()?;
        let dport = dport
            .ok_or_else(|| PacketError::new("the destination has no port; write ADDRESS:PORT"))?;
        let transport = Transport::Ports {
            protocol,
            sport: sport.unwrap_or(40000),
            dport,
        };
        Ok((addresses, transport))
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

/// The word that a packet of a protocol is written with, if it has one.
fn own_word(protocol: u8, family: Family) -> Option<&'static str> {
    let mut with_ports = PortProtocol::ALL.into_iter();
    match with_ports.find(|it| it.number() == protocol) {
        Some(of_ports) => Some(of_ports.keyword()),
        None if protocol == icmp_protocol(family) => Some(match family {
            Family::Ip => "icmp",
            Family::Ip6 => "icmpv6",
        }),
        None => None,
    }
}

/// The words that headers begin with, in a message.
fn protocols() -> String {
    let [first @ .., last] = PROTOCOLS;
    alloc::format!("{} or {last}", first.join(", "))
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
            "{} is not ADDRESS, IPV4:PORT or [IPV6]:PORT",
            Quoted(word)
        ))),
    }
}

fn number(word: &str, wanted: &str) -> Result<u8, PacketError> {
    word.parse().map_err(|_| {
        PacketError::new(alloc::format!(
            "{} is not {wanted}, a number from 0 to 255",
            Quoted(word)
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
        check(
            "iifname output udp ::1 > [::2]:3",
            "iifname output udp [::1]:40000 > [::2]:3 new",
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
            "eth0 gre ::1 ::1",
            "neither `eth0` nor `gre` is tcp, udp, udplite, sctp, dccp, icmp, icmpv6, protocol or \
             fragment",
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
            "`maybe` is neither a ct state, nor `hoplimit N`, nor a field with its value, such as \
             `meta mark`, `ct mark`, `tcp flags`, `ip dscp`, `iifgroup`",
        );
        check("protocol 6 ::1 > ::1", "protocol 6 is written `tcp`");
    }

    #[test]
    fn facts_are_told_in_nfts_words() {
        let web = "tcp 192.0.2.7 > 192.0.2.10:80";
        let full = "eth0 tcp 192.0.2.7:40000 > 192.0.2.10:80 new";
        let facts = [
            ("meta mark 5", "meta mark 0x5"),
            ("mark 0x5", "meta mark 0x5"),
            ("ct mark 7", "ct mark 0x7"),
            ("ct mark unknown", "ct mark unknown"),
            ("tcp flags syn,ack", "tcp flags syn,ack"),
            ("tcp flags 0", "tcp flags 0x0"),
            ("ip dscp 46", "ip dscp 46"),
            ("skuid 1000", "meta skuid 1000"),
            ("meta skuid absent", "meta skuid absent"),
            ("iifgroup 3", "iifgroup 3"),
            ("length 1500", "meta length 1500"),
            ("ip length 1500", "ip length 1500"),
            ("fib daddr type local", "fib daddr type local"),
            ("fib saddr . iif oif missing", "fib saddr . iif oif missing"),
            ("fib saddr . iif oif 3", "fib saddr . iif oif 3"),
            ("fib saddr oifname eth1", "fib saddr oifname eth1"),
            (
                "fib saddr oifname \"absent\"",
                "fib saddr oifname \"absent\"",
            ),
            ("fib saddr oifname absent", "fib saddr oifname absent"),
            (
                "ether saddr 02:00:00:00:00:0a",
                "ether saddr 02:00:00:00:00:0a",
            ),
            ("pkttype multicast", "meta pkttype multicast"),
            ("ct status dnat,snat", "ct status snat,dnat"),
            ("ct direction reply", "ct direction reply"),
            (
                "ct original ip saddr 192.0.2.9",
                "ct original ip saddr 192.0.2.9",
            ),
            ("ct reply proto-dst 80", "ct reply proto-dst 80"),
        ];
        for (said, written) in facts {
            check(
                &alloc::format!("{web} {said}"),
                &alloc::format!("{full} {written}"),
            );
        }
        check(
            "tcp ::1 > [::1]:2 ct mark 1 established exthdr frag exists mark 2 hoplimit 3",
            "eth0 tcp [::1]:40000 > [::1]:2 established hoplimit 3 meta mark 0x2 exthdr frag \
             exists ct mark 0x1",
        );
        check("sctp ::1 > [::1]:2", "eth0 sctp [::1]:40000 > [::1]:2 new");
        check(
            "fragment 17 192.0.2.1 > 192.0.2.2",
            "eth0 fragment 17 192.0.2.1 > 192.0.2.2 new",
        );
        check(
            "protocol 47 ::1 > ::2 th dport 5",
            "eth0 protocol 47 ::1 > ::2 new th dport 5",
        );
    }

    #[test]
    fn a_fact_that_cannot_be_is_refused() {
        let wrong = |fact: &str, expected: &str| {
            check(
                &alloc::format!("tcp 192.0.2.7 > 192.0.2.10:80 {fact}"),
                expected,
            );
        };
        wrong("meta mark", "the value of `meta mark` is missing");
        wrong(
            "meta mark 0x1ffffffff",
            "`0x1ffffffff` is no value of `meta mark`: it is a number from 0 to 4294967295, \
             `unknown` or `absent`",
        );
        wrong(
            "tcp flags sin",
            "`sin` is no value of `tcp flags`: it is a number to 0xff, or some of \
             fin,syn,rst,psh,ack,urg,ecn,cwr, `unknown` or `absent`",
        );
        wrong(
            "pkttype me",
            "`me` is no value of `meta pkttype`: it is a number from 0 to 255, or host, \
             broadcast, multicast, other, `unknown` or `absent`",
        );
        wrong("ct mark 1 ct mark 2", "the `ct mark` is said twice");
        wrong("ip6 dscp 1", "an ipv4 packet has no `ip6 dscp`");
        wrong("icmp code 1", "a packet of protocol tcp has no `icmp code`");
        wrong("oifgroup 1", "`oifgroup` is not known at input");
        wrong("th dport 1", "the ports say `th dport` already");
        wrong("invalid ct mark 1", "an invalid packet has no `ct mark`");
        wrong(
            "ct stat dnat",
            "`ct` is neither a ct state, nor `hoplimit N`, nor a field with its value, such as \
             `ct direction`, `ct status`, `ct mark`, `ct zone`, `ct expiration`, `ct original \
             protocol`",
        );
    }
}
