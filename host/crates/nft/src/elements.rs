//! The elements of a named set, written and read one at a time.
//!
//! A feed may have a million prefixes, so no element is ever held as a tree: both directions go
//! straight between text and intervals, for small sets as for large ones.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use portreeve_model::address::{Family, Prefix, address_bits};
use portreeve_model::diagnostic::Quoted;
use portreeve_model::intervals::{Interval, Intervals};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Appends `elements` as nft reads them: an address, a prefix or a range for each interval.
pub(crate) fn write(out: &mut String, family: Family, elements: &Intervals) {
    let mut separator = '[';
    for interval in elements {
        out.push(separator);
        separator = ',';
        let (first, last) = (
            family.address(interval.first()),
            family.address(interval.last()),
        );
        match Prefix::exactly(family, *interval) {
            Some(_) if first == last => write!(out, "\"{first}\""),
            Some(prefix) => {
                let length = prefix.length();
                write!(
                    out,
                    "{{\"prefix\":{{\"addr\":\"{first}\",\"len\":{length}}}}}"
                )
            }
            None => write!(out, "{{\"range\":[\"{first}\",\"{last}\"]}}"),
        }
        .expect("writing to a string does not fail");
    }
    out.push(']');
}

/// Elements as they are read: of either family, in any order.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    ip: Vec<Interval>,
    ip6: Vec<Interval>,
}

impl Elements {
    /// The addresses, when all of them belong to `family`.
    pub(crate) fn of(self, family: Family) -> Option<Intervals> {
        let (mine, others) = match family {
            Family::Ip => (self.ip, self.ip6),
            Family::Ip6 => (self.ip6, self.ip),
        };
        others.is_empty().then(|| mine.into_iter().collect())
    }

    fn push(&mut self, (family, interval): (Family, Interval)) {
        match family {
            Family::Ip => self.ip.push(interval),
            Family::Ip6 => self.ip6.push(interval),
        }
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Elements;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements, A::Error> {
                let mut elements = Elements::default();
                while let Some(Element(family, interval)) = list.next_element()? {
                    elements.push((family, interval));
                }
                Ok(elements)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

struct Element(Family, Interval);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, a prefix or a range")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Element, E> {
        let Address(address) = Address::parse(text)?;
        let bits = address_bits(address);
        Ok(Element(Family::of(address), Interval::single(bits)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        let element = match map.next_key::<Kind>()? {
            Some(Kind::Prefix) => {
                let Written { addr, len } = map.next_value()?;
                let prefix = Prefix::new(addr.0, len).map_err(de::Error::custom)?;
                Element(prefix.family(), prefix.interval())
            }
            Some(Kind::Range) => {
                let [Address(first), Address(last)] = map.next_value()?;
                let interval = Interval::new(address_bits(first), address_bits(last))
                    .filter(|_| Family::of(first) == Family::of(last))
                    .ok_or_else(|| de::Error::custom(format!("{first}-{last} is no range")))?;
                Element(Family::of(first), interval)
            }
            None => return Err(de::Error::custom("an element without a kind")),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(element),
            Some(_) => Err(de::Error::custom("an element of two kinds")),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Prefix,
    Range,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    addr: Address,
    len: u8,
}

struct Address(IpAddr);

impl Address {
    fn parse<E: de::Error>(text: &str) -> Result<Self, E> {
        let not_one = |_| E::custom(format!("{} is not an address", Quoted(text)));
        text.parse().map(Self).map_err(not_one)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl Visitor<'_> for One {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                Address::parse(text)
            }
        }
        deserializer.deserialize_str(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let found = match serde_json::from_str::<Elements>(json) {
            Ok(elements) => {
                let mut out = String::new();
                let family = if elements.ip.is_empty() {
                    Family::Ip6
                } else {
                    Family::Ip
                };
                write(&mut out, family, &elements.of(family).unwrap());
                out
            }
            Err(error) => error.to_string(),
        };
        assert!(
            found.starts_with(expected),
            "{json}\n  {found}\n  {expected}"
        );
    }

    #[test]
    fn each_interval_is_said_in_one_way() {
        check("[\"192.0.2.1\"]", "[\"192.0.2.1\"]");
        check(
            "[{\"range\":[\"192.0.2.0\",\"192.0.2.255\"]}]",
            "[{\"prefix\":{\"addr\":\"192.0.2.0\",\"len\":24}}]",
        );
        check(
            "[{\"range\":[\"2001:db8::1\",\"2001:db8::3\"]}]",
            "[{\"range\":[\"2001:db8::1\",\"2001:db8::3\"]}]",
        );
        check(
            "[{\"prefix\":{\"addr\":\"::\",\"len\":0}}]",
            "[{\"prefix\":{\"addr\":\"::\",\"len\":0}}]",
        );
    }

    #[test]
    fn what_is_not_an_element_is_named() {
        check("[\"localhost\"]", "`localhost` is not an address");
        check(
            "[{\"elem\":{\"val\":\"192.0.2.1\"}}]",
            "unknown variant `elem`",
        );
        check(
            "[{\"prefix\":{\"addr\":\"192.0.2.1\",\"len\":24}}]",
            "bits are set after",
        );
        check(
            "[{\"prefix\":{\"addr\":\"192.0.2.1\",\"len\":240}}]",
            "prefix length is 240",
        );
        check(
            "[{\"range\":[\"192.0.2.9\",\"192.0.2.1\"]}]",
            "192.0.2.9-192.0.2.1 is no range",
        );
        check(
            "[{\"range\":[\"192.0.2.9\",\"::1\"]}]",
            "192.0.2.9-::1 is no range",
        );
        check("[{}]", "an element without a kind");
        check(
            "[7]",
            "invalid type: integer `7`, expected an address, a prefix or a range",
        );
    }
}
