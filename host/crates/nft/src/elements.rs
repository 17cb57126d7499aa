//! The elements of a named set, written and read one at a time.
//!
//! A feed may have a million prefixes, so no element is ever held as a tree: both directions go
//! straight between text and intervals, for small sets as for large ones.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use portreeve_model::address::{Family, Prefix, address_bits};
use portreeve_model::diagnostic::Quoted;
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::ruleset::text::address_text;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

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
    /// How many have a time to live; what they are is not kept.
    timed: usize,
    /// Those that are nothing of all that.
    others: Vec<Value>,
}

impl Elements {
    /// The addresses, when all elements are addresses of `family`; otherwise what else there is.
    pub(crate) fn of(self, family: Family) -> Result<Intervals, String> {
        let (mine, others) = match family {
            Family::Ip => (self.ip, self.ip6),
            Family::Ip6 => (self.ip6, self.ip),
        };
        if let Some(other) = self.others.first() {
            return Err(format!("the element {}", Quoted(&shown(other))));
        }
        if self.timed > 0 {
            return Err("an element with a timeout".to_owned());
        }
        if !others.is_empty() {
            return Err("an element of the other family".to_owned());
        }
        Ok(mine.into_iter().collect())
    }

    /// How many there are, when all of them have a time to live; otherwise what else there is.
    pub(crate) fn timed(self) -> Result<usize, String> {
        match self.others.first() {
            Some(other) => Err(format!("the element {}", Quoted(&shown(other)))),
            None if self.ip.is_empty() && self.ip6.is_empty() => Ok(self.timed),
            None => Err("an element without a timeout".to_owned()),
        }
    }

    /// All of them, as they were listed.
    pub(crate) fn all(self) -> Vec<Value> {
        let text = |family: Family| move |it: &Interval| json!(address_text(family, *it));
        let ip = self.ip.iter().map(text(Family::Ip));
        let ip6 = self.ip6.iter().map(text(Family::Ip6));
        ip.chain(ip6).chain(self.others.iter().cloned()).collect()
    }

    fn push(&mut self, element: Element) {
        match element {
            Element::Address(Family::Ip, interval) => self.ip.push(interval),
            Element::Address(Family::Ip6, interval) => self.ip6.push(interval),
            Element::Timed => self.timed += 1,
            Element::Other(json) => self.others.push(json),
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
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(elements)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

enum Element {
    Address(Family, Interval),
    Timed,
    Other(Value),
}

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
        Ok(match text.parse() {
            Ok(address) => {
                Element::Address(Family::of(address), Interval::single(address_bits(address)))
            }
            Err(_) => Element::Other(text.into()),
        })
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Element, E> {
        Ok(Element::Other(number.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        let kind: Option<String> = map.next_key()?;
        let element = match kind.as_deref() {
            Some("prefix") => {
                let Written { addr, len } = map.next_value()?;
                let prefix = Prefix::new(addr.0, len).map_err(de::Error::custom)?;
                Element::Address(prefix.family(), prefix.interval())
            }
            Some("range") => {
                let ends: [Value; 2] = map.next_value()?;
                let [Some(first), Some(last)] = ends.each_ref().map(address_of) else {
                    return Ok(Element::Other(json!({ "range": ends })));
                };
                let interval = Interval::new(address_bits(first), address_bits(last))
                    .filter(|_| Family::of(first) == Family::of(last))
                    .ok_or_else(|| de::Error::custom(format!("{first}-{last} is no range")))?;
                Element::Address(Family::of(first), interval)
            }
            Some("elem") => {
                let attributes: BTreeMap<String, IgnoredAny> = map.next_value()?;
                // nft says both for an element with a timeout of its own.
                let timed = ["timeout", "expires"].map(|key| attributes.contains_key(key));
                if timed.contains(&true) {
                    Element::Timed
                } else {
                    Element::Other(json!({ "elem": null }))
                }
            }
            Some(other) => {
                let other = other.to_owned();
                let body: Value = map.next_value()?;
                Element::Other(json!({ other: body }))
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

fn address_of(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

/// What an element is called in a message: the kind of an object, or the value itself.
fn shown(element: &Value) -> String {
    let kind = element.as_object().and_then(|object| object.keys().next());
    match (kind, element) {
        (Some(kind), _) => kind.clone(),
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
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
                match elements.of(family) {
                    Ok(elements) => write(&mut out, family, &elements),
                    Err(what) => out = what,
                }
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
        check("[\"localhost\"]", "the element `localhost`");
        check("[7]", "the element `7`");
        check("[{\"concat\":[1,2]}]", "the element `concat`");
        check(
            "[{\"elem\":{\"val\":\"192.0.2.1\",\"comment\":\"x\"}}]",
            "the element `elem`",
        );
        check(
            "[{\"elem\":{\"val\":\"192.0.2.1\",\"timeout\":60}}]",
            "an element with a timeout",
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
            "[true]",
            "invalid type: boolean `true`, expected an address, a prefix or a range",
        );
    }
}
