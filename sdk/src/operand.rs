//! The values that a match asks for. `!` in front of them asks for all others.

use std::ops::{Not, RangeInclusive};

/// Values of one field, or all values but those.
///
/// ```
/// use portreeve_sdk::{Ports, rule};
///
/// rule("web").tcp_dport([80, 443]).accept();
/// rule("not from privileged ports").tcp_sport(!Ports::from(0..=1023)).accept();
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Values<T> {
    pub(crate) negated: bool,
    pub(crate) values: Vec<T>,
}

/// Ports: one, a range, or a list of either.
///
/// ```
/// use portreeve_sdk::Ports;
///
/// assert_eq!(Ports::from(22), Ports::from(22..=22));
/// assert_eq!(Ports::from([80, 443]), Ports::from(vec![80..=80, 443..=443]));
/// ```
pub type Ports = Values<RangeInclusive<u16>>;

/// Numbers: one, a range, or a list of either.
///
/// ```
/// use portreeve_sdk::Numbers;
///
/// assert_eq!(Numbers::from(1), Numbers::from(1..=1));
/// ```
pub type Numbers = Values<RangeInclusive<u32>>;

impl<T> Values<T> {
    fn any_of(values: impl IntoIterator<Item = T>) -> Self {
        let values = values.into_iter().collect();
        Self {
            negated: false,
            values,
        }
    }
}

/// All other values. A packet without the field matches neither.
impl<T> Not for Values<T> {
    type Output = Self;

    fn not(mut self) -> Self {
        self.negated = !self.negated;
        self
    }
}

impl<T> From<T> for Values<T> {
    fn from(value: T) -> Self {
        Self::any_of([value])
    }
}

impl<T, const N: usize> From<[T; N]> for Values<T> {
    fn from(values: [T; N]) -> Self {
        Self::any_of(values)
    }
}

impl<T> From<Vec<T>> for Values<T> {
    fn from(values: Vec<T>) -> Self {
        Self::any_of(values)
    }
}

impl From<&str> for Values<String> {
    fn from(name: &str) -> Self {
        Self::any_of([name.to_owned()])
    }
}

impl<const N: usize> From<[&str; N]> for Values<String> {
    fn from(names: [&str; N]) -> Self {
        Self::any_of(names.map(str::to_owned))
    }
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self::any_of([port..=port])
    }
}

impl<const N: usize> From<[u16; N]> for Ports {
    fn from(ports: [u16; N]) -> Self {
        Self::any_of(ports.map(|port| port..=port))
    }
}

impl From<&[RangeInclusive<u16>]> for Ports {
    fn from(ranges: &[RangeInclusive<u16>]) -> Self {
        Self::any_of(ranges.iter().cloned())
    }
}

impl From<u32> for Numbers {
    fn from(number: u32) -> Self {
        Self::any_of([number..=number])
    }
}

impl<const N: usize> From<[u32; N]> for Numbers {
    fn from(numbers: [u32; N]) -> Self {
        Self::any_of(numbers.map(|number| number..=number))
    }
}

impl From<u8> for Values<RangeInclusive<u8>> {
    fn from(number: u8) -> Self {
        Self::any_of([number..=number])
    }
}

/// A type of ICMP message, which IPv4 packets carry. nft(8) calls it `icmp type`.
///
/// ```
/// use portreeve_sdk::{Icmp, rule};
///
/// rule("ping").icmp_type(Icmp::ECHO_REQUEST).accept();
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Icmp(pub u8);

/// A type of ICMPv6 message, which IPv6 packets carry. nft(8) calls it `icmpv6 type`.
///
/// ```
/// use portreeve_sdk::{Icmpv6, rule};
///
/// rule("path MTU").icmpv6_type(Icmpv6::PACKET_TOO_BIG).accept();
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Icmpv6(pub u8);

macro_rules! types {
    ($family:ident, $($name:ident = $number:literal, $word:literal;)*) => {
        impl $family {
            $(
                #[doc = concat!("`", $word, "`, type ", stringify!($number), ".")]
                ///
                /// ```
                #[doc = concat!("use portreeve_sdk::", stringify!($family), ";")]
                ///
                #[doc = concat!(
                    "assert_eq!(", stringify!($family), "::", stringify!($name), ".0, ",
                    stringify!($number), ");"
                )]
                /// ```
                pub const $name: Self = Self($number);
            )*
        }
    };
}

types! {
    Icmp,
    ECHO_REPLY = 0, "echo-reply";
    DESTINATION_UNREACHABLE = 3, "destination-unreachable";
    ECHO_REQUEST = 8, "echo-request";
    TIME_EXCEEDED = 11, "time-exceeded";
    PARAMETER_PROBLEM = 12, "parameter-problem";
}

types! {
    Icmpv6,
    DESTINATION_UNREACHABLE = 1, "destination-unreachable";
    PACKET_TOO_BIG = 2, "packet-too-big";
    TIME_EXCEEDED = 3, "time-exceeded";
    PARAMETER_PROBLEM = 4, "parameter-problem";
    ECHO_REQUEST = 128, "echo-request";
    ECHO_REPLY = 129, "echo-reply";
    MLD_LISTENER_QUERY = 130, "mld-listener-query";
    MLD_LISTENER_REPORT = 131, "mld-listener-report";
    MLD_LISTENER_DONE = 132, "mld-listener-done";
    ND_ROUTER_SOLICIT = 133, "nd-router-solicit";
    ND_ROUTER_ADVERT = 134, "nd-router-advert";
    ND_NEIGHBOR_SOLICIT = 135, "nd-neighbor-solicit";
    ND_NEIGHBOR_ADVERT = 136, "nd-neighbor-advert";
    ND_REDIRECT = 137, "nd-redirect";
    MLD2_LISTENER_REPORT = 143, "mld2-listener-report";
}

/// The numbers of ICMP types as ranges, as a draft holds them.
pub(crate) fn numbers<T: Into<u8>>(types: Vec<T>) -> Vec<RangeInclusive<u8>> {
    let single = |number: u8| number..=number;
    types.into_iter().map(|t| single(t.into())).collect()
}

impl From<Icmp> for u8 {
    fn from(icmp_type: Icmp) -> Self {
        icmp_type.0
    }
}

impl From<Icmpv6> for u8 {
    fn from(icmpv6_type: Icmpv6) -> Self {
        icmpv6_type.0
    }
}
