//! Matches on fields that hold numbers, and on single bits of them.

use portreeve_model::address::Family;
use portreeve_model::draft::{BitField, ExtensionHeader, NumberField, Test};
use portreeve_model::field::{FibSource, PortProtocol};

use crate::operand::{Numbers, Ports, Values};
use crate::rule::{Matches, TakesMatches};

macro_rules! numbers {
    ($($(#[$doc:meta])* $method:ident, $field:expr, $example:literal;)*) => {
        /// Matches on numbers. Each example shows the rule as nft(8) writes it.
        impl<Of: TakesMatches> Matches<Of> {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// # use portreeve_sdk::rule;
                #[doc = concat!("rule(\"it\").", stringify!($method), "(", $example, ").accept();")]
                /// ```
                pub fn $method(self, numbers: impl Into<Numbers>) -> Self {
                    self.test(numbers.into(), |ranges| Test::Number($field, ranges))
                }
            )*
        }
    };
}

numbers! {
    /// `iifgroup`: the group of the interface that the packet came in by.
    iifgroup, NumberField::Iifgroup, "1";
    /// `oifgroup`: the group of the interface that the packet goes out by.
    oifgroup, NumberField::Oifgroup, "[1, 2]";
    /// `meta pkttype`: whom the link layer addressed: 0 this host, 1 everybody, 2 a group, 3 others.
    meta_pkttype, NumberField::Pkttype, "0";
    /// `meta mark`: the packet's mark.
    meta_mark, NumberField::Mark, "1..=15";
    /// `meta skuid`: the user whose socket sends the packet; at output and postrouting.
    meta_skuid, NumberField::Skuid, "1000";
    /// `meta skgid`: the group whose socket sends the packet; at output and postrouting.
    meta_skgid, NumberField::Skgid, "1000";
    /// `meta hour`: the second of the day, in UTC.
    meta_hour, NumberField::Hour, "9 * 3600..=17 * 3600";
    /// `meta day`: the day of the week; Sunday is 0.
    meta_day, NumberField::Day, "1..=5";
    /// `meta length`: the bytes of the packet.
    meta_length, NumberField::Length, "0..=1500";
    /// `ip length`: the length that the IPv4 header says.
    ip_length, NumberField::NetworkLength(Family::Ip), "20..=1500";
    /// `ip6 length`: the length that the IPv6 header says.
    ip6_length, NumberField::NetworkLength(Family::Ip6), "0..=1460";
    /// `ip dscp`: the code point of an IPv4 packet.
    ip_dscp, NumberField::Dscp(Family::Ip), "46";
    /// `ip6 dscp`: the code point of an IPv6 packet.
    ip6_dscp, NumberField::Dscp(Family::Ip6), "46";
    /// `ip ecn`: congestion notification of an IPv4 packet.
    ip_ecn, NumberField::Ecn(Family::Ip), "3";
    /// `ip6 ecn`: congestion notification of an IPv6 packet.
    ip6_ecn, NumberField::Ecn(Family::Ip6), "3";
    /// `icmp code`: the code of an ICMP message; IPv4 only.
    icmp_code, NumberField::IcmpCode(Family::Ip), "4";
    /// `icmpv6 code`: the code of an ICMPv6 message; IPv6 only.
    icmpv6_code, NumberField::IcmpCode(Family::Ip6), "0";
    /// `th sport`: the source port, whatever the transport protocol.
    th_sport, NumberField::ThSport, "53";
    /// `th dport`: the destination port, whatever the transport protocol.
    th_dport, NumberField::ThDport, "[53, 853]";
    /// `ct mark`: the mark of the connection.
    ct_mark, NumberField::CtMark, "1";
    /// `ct direction`: 0 as the connection's first packet went, 1 back.
    ct_direction, NumberField::CtDirection, "0";
    /// `fib saddr type`: what the routing tables take the source for: 1 unicast, 2 local,
    /// 3 broadcast, 5 multicast.
    fib_saddr_type, address_type(FibSource::Saddr), "1";
    /// `fib daddr type`: what the routing tables take the destination for.
    fib_daddr_type, address_type(FibSource::Daddr), "2";
}

const fn address_type(of: FibSource) -> NumberField {
    NumberField::AddressType { of, iif: false }
}

/// What is there or not, single bits, and ports of every protocol.
impl<Of: TakesMatches> Matches<Of> {
    /// `fib saddr . iif oif missing`: there is no route back by the interface that the packet came
    /// in by, so its source is probably forged. At prerouting.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("forged").no_route_back().drop();
    /// ```
    pub fn no_route_back(self) -> Self {
        let back = NumberField::ReversePath { mark: false };
        self.test(Numbers::from(0), |ranges| Test::Number(back, ranges))
    }

    /// `exthdr … exists`: IPv6 with this extension header.
    ///
    /// ```
    /// # use portreeve_sdk::{ExtensionHeader, rule};
    /// rule("fragments").exthdr_exists(ExtensionHeader::Frag).drop();
    /// ```
    pub fn exthdr_exists(self, header: ExtensionHeader) -> Self {
        let header = NumberField::Exthdr(header);
        self.test(Numbers::from(1), |ranges| Test::Number(header, ranges))
    }

    /// Some bits of a field are one of the values: `tcp flags & (fin | syn) == fin | syn`.
    ///
    /// ```
    /// # use portreeve_sdk::{BitField, rule};
    /// rule("null scan").bits(BitField::TcpFlags, 0b11_1111, [0]).drop();
    /// ```
    pub fn bits(self, field: BitField, mask: u32, values: impl Into<Values<u32>>) -> Self {
        self.test(values.into(), |values| Test::Bits {
            field,
            mask,
            values,
        })
    }

    /// `sctp sport` and the like: the source port of one protocol.
    ///
    /// ```
    /// # use portreeve_sdk::{PortProtocol, rule};
    /// rule("diameter").sport(PortProtocol::Sctp, 3868).accept();
    /// ```
    pub fn sport(self, protocol: PortProtocol, ports: impl Into<Ports>) -> Self {
        self.test(ports.into(), |ranges| Test::Sport(protocol, ranges))
    }

    /// `sctp dport` and the like: the destination port of one protocol.
    ///
    /// ```
    /// # use portreeve_sdk::{PortProtocol, rule};
    /// rule("diameter").dport(PortProtocol::Sctp, 3868).accept();
    /// ```
    pub fn dport(self, protocol: PortProtocol, ports: impl Into<Ports>) -> Self {
        self.test(ports.into(), |ranges| Test::Dport(protocol, ranges))
    }
}
