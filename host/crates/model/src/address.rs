//! Addresses, prefixes and sets of them, for both families alike.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::intervals::{Interval, Intervals};

/// The network layer protocol of a packet: what nft(8) calls `nfproto`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// IPv4: `ip` in nft(8).
    Ip,
    /// IPv6: `ip6` in nft(8).
    Ip6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::Ip, Self::Ip6];

    /// The width of an address, in bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ip => 32,
            Self::Ip6 => 128,
        }
    }

    /// The highest address, as a number.
    #[must_use]
    pub const fn max(self) -> u128 {
        u128::MAX >> (128 - self.bits())
    }

    /// The family of `address`.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ip,
            IpAddr::V6(_) => Self::Ip6,
        }
    }

    /// The name in front of a header field: `ip` or `ip6`.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }

    /// The name as a value of `meta nfproto`: `ipv4` or `ipv6`.
    #[must_use]
    pub const fn nfproto(self) -> &'static str {
        match self {
            Self::Ip => "ipv4",
            Self::Ip6 => "ipv6",
        }
    }

    /// The value of `meta nfproto` (`NFPROTO_IPV4`, `NFPROTO_IPV6` in `linux/netfilter.h`).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }

    /// The address with the number `bits`; higher bits than the family has are ignored.
    #[must_use]
    pub const fn address(self, bits: u128) -> IpAddr {
        match self {
            Self::Ip => IpAddr::V4(Ipv4Addr::from_bits((bits & Self::Ip.max()) as u32)),
            Self::Ip6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }
}

/// The number of an address: its bits in network order.
#[must_use]
pub const fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The addresses that share their first bits: `192.0.2.0/24`. Host bits are always zero.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why something is not a prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PrefixError {
    /// The text is not an address, with or without `/length`.
    NotAPrefix,
    /// The length is more than the family has bits.
    TooLong {
        /// The length found.
        length: u8,
        /// The number of bits that the family has.
        bits: u8,
    },
    /// Bits are set after the length, so the author meant something else than she wrote.
    HostBits {
        /// The prefix with those bits cleared.
        meant: Prefix,
    },
}

impl Prefix {
    /// The prefix `address/length`.
    ///
    /// # Errors
    /// When the length is too long for the family or bits are set after it.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let bits = Family::of(address).bits();
        if length > bits {
            return Err(PrefixError::TooLong { length, bits });
        }
        let meant = Self::around(address, length);
        if meant.address == address {
            Ok(meant)
        } else {
            Err(PrefixError::HostBits { meant })
        }
    }

    /// The prefix of `length` that holds `address`; a length over the family's bits is cut there.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Self {
        let family = Family::of(address);
        let length = length.min(family.bits());
        let host = host_mask(family.bits() - length);
        Self {
            address: family.address(address_bits(address) & !host),
            length,
        }
    }

    /// The first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits the addresses share.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The family of the addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        Family::of(self.address)
    }

    /// The addresses as numbers.
    #[must_use]
    pub fn interval(self) -> Interval {
        let first = address_bits(self.address);
        let last = first | host_mask(self.family().bits() - self.length);
        Interval::new(first, last).expect("a mask of host bits only adds")
    }

    /// The prefix that covers just `interval`, when there is one.
    #[must_use]
    pub fn exactly(family: Family, interval: Interval) -> Option<Self> {
        let differing = interval.first() ^ interval.last();
        let host_bits = u8::try_from(128 - differing.leading_zeros()).ok()?;
        let length = family.bits().checked_sub(host_bits)?;
        let prefix = Self::around(family.address(interval.first()), length);
        (prefix.interval() == interval).then_some(prefix)
    }

    /// The fewest prefixes that cover `interval`, ascending.
    pub fn covering(family: Family, interval: Interval) -> impl Iterator<Item = Self> {
        let mut next = Some(interval.first());
        core::iter::from_fn(move || {
            let first = next?;
            // The largest block that starts at `first`, is aligned, and ends inside.
            let mut host_bits = first.trailing_zeros().min(u32::from(family.bits())) as u8;
            while first | host_mask(host_bits) > interval.last() {
                host_bits -= 1;
            }
            let last = first | host_mask(host_bits);
            next = (last < interval.last()).then(|| last + 1);
            let length = family.bits() - host_bits;
            Some(Self::around(family.address(first), length))
        })
    }
}

/// The lowest `host_bits` bits.
const fn host_mask(host_bits: u8) -> u128 {
    match host_bits {
        0 => 0,
        bits => u128::MAX >> (128 - bits),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == self.family().bits() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::NotAPrefix)?;
        let length = match length {
            None => Family::of(address).bits(),
            // `parse` would take `+8` and `008`; a prefix says its length in one way.
            Some(digits) if digits.starts_with(['+', '0']) && digits != "0" => {
                return Err(PrefixError::NotAPrefix);
            }
            Some(digits) => digits.parse().map_err(|_| PrefixError::NotAPrefix)?,
        };
        Self::new(address, length)
    }
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPrefix => write!(f, "not an address or prefix"),
            Self::TooLong { length, bits } => {
                write!(f, "prefix length is {length}, the family has {bits} bits")
            }
            Self::HostBits { meant } => {
                write!(
                    f,
                    "bits are set after the prefix length; the prefix is {meant}"
                )
            }
        }
    }
}

impl core::error::Error for PrefixError {}

/// A set of addresses of both families.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressSet {
    /// The IPv4 addresses.
    pub ip: Intervals,
    /// The IPv6 addresses.
    pub ip6: Intervals,
}

impl AddressSet {
    /// The addresses of one family.
    #[must_use]
    pub const fn of(&self, family: Family) -> &Intervals {
        match family {
            Family::Ip => &self.ip,
            Family::Ip6 => &self.ip6,
        }
    }

    /// Whether `address` is a member.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.of(Family::of(address)).contains(address_bits(address))
    }
}

impl FromIterator<Prefix> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let (ip, ip6): (Vec<Prefix>, Vec<Prefix>) = prefixes
            .into_iter()
            .partition(|prefix| prefix.family() == Family::Ip);
        Self {
            ip: ip.into_iter().map(Prefix::interval).collect(),
            ip6: ip6.into_iter().map(Prefix::interval).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match text.parse::<Prefix>() {
            Ok(prefix) => prefix.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_prefix_is_read_in_one_way_only() {
        check("192.0.2.0/24", "192.0.2.0/24");
        check("192.0.2.7", "192.0.2.7");
        check("192.0.2.7/32", "192.0.2.7");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("2001:DB8::/32", "2001:db8::/32");
        check("::/0", "::/0");
        check(
            "192.0.2.1/24",
            "bits are set after the prefix length; the prefix is 192.0.2.0/24",
        );
        check(
            "192.0.2.0/33",
            "prefix length is 33, the family has 32 bits",
        );
        check("192.0.2.0/+8", "not an address or prefix");
        check("192.0.2.0/024", "not an address or prefix");
        check("192.0.2.0/", "not an address or prefix");
        check("131.0.72.0/222400:cb00::/32", "not an address or prefix");
        check("localhost", "not an address or prefix");
    }

    #[test]
    fn an_interval_is_covered_by_the_fewest_prefixes() {
        let interval = Interval::new(1, 12).unwrap();
        let texts: Vec<_> = Prefix::covering(Family::Ip, interval)
            .map(|prefix| prefix.to_string())
            .collect();
        assert_eq!(
            texts,
            [
                "0.0.0.1",
                "0.0.0.2/31",
                "0.0.0.4/30",
                "0.0.0.8/30",
                "0.0.0.12"
            ]
        );
        for family in Family::BOTH {
            let all = Interval::new(0, family.max()).unwrap();
            assert_eq!(Prefix::covering(family, all).count(), 1);
            assert_eq!(Prefix::exactly(family, all).map(Prefix::length), Some(0));
        }
    }

    #[test]
    fn only_an_aligned_interval_is_one_prefix() {
        let exactly = |first, last| {
            Prefix::exactly(Family::Ip, Interval::new(first, last).unwrap()).map(|p| p.to_string())
        };
        assert_eq!(exactly(8, 11).as_deref(), Some("0.0.0.8/30"));
        assert_eq!(exactly(8, 12), None);
        assert_eq!(exactly(9, 12), None);
        assert_eq!(exactly(5, 5).as_deref(), Some("0.0.0.5"));
    }
}
