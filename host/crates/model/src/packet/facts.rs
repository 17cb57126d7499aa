//! What else is known of a packet, as people write it: fields and values in nft's words.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Loaded, Packet, Transport};
use crate::address::{Family, address_bits};
use crate::diagnostic::Quoted;
use crate::field::kind::{CT_STATUS, Kind, TCP_FLAGS};
use crate::field::{
    Direction, EXTENSION_HEADERS, Fib, FibResult, FibSource, Field, interface, protocol_name,
};
use crate::names::InterfaceName;

/// Fields that a message names, at most, when a word is none.
const NEAR: usize = 6;

/// Every field that a packet's text can tell, with the words for it. What the headers say, or the
/// packet's own words for its place and state, is not told twice.
fn tellable() -> Vec<(String, Field)> {
    let mut fields = Vec::from([
        Field::Iif,
        Field::Iifgroup,
        Field::Iiftype,
        Field::Oif,
        Field::Oifgroup,
        Field::Oiftype,
        Field::Pkttype,
        Field::Mark,
        Field::Priority,
        Field::Skuid,
        Field::Skgid,
        Field::Time,
        Field::Day,
        Field::Hour,
        Field::Ipsec,
        Field::Length,
        Field::EtherSaddr,
        Field::EtherDaddr,
        Field::EtherType,
        Field::IpId,
        Field::IpFragOff,
        Field::Flowlabel,
        Field::ThSport,
        Field::ThDport,
        Field::TcpFlags,
        Field::CtDirection,
        Field::CtStatus,
        Field::CtMark,
        Field::CtZone,
        Field::CtExpiration,
    ]);
    for family in Family::BOTH {
        fields.extend([
            Field::Dscp(family),
            Field::Ecn(family),
            Field::NetworkLength(family),
            Field::IcmpCode(family),
            Field::IcmpId(family),
            Field::IcmpSequence(family),
        ]);
    }
    for direction in Direction::BOTH {
        fields.extend([
            Field::CtProtocol(direction),
            Field::CtSport(direction),
            Field::CtDport(direction),
        ]);
        let addresses = |family| {
            [
                Field::CtSaddr(direction, family),
                Field::CtDaddr(direction, family),
            ]
        };
        fields.extend(Family::BOTH.into_iter().flat_map(addresses));
    }
    fields.extend(EXTENSION_HEADERS.map(|(number, _)| Field::Exthdr(number)));
    fields.extend(fibs().map(Field::Fib));
    let text = |field: Field| (field.to_string(), field);
    fields.into_iter().map(text).collect()
}

/// Every question to the routing tables.
fn fibs() -> impl Iterator<Item = Fib> {
    let results = [
        FibResult::Type,
        FibResult::Oifname,
        FibResult::Oif,
        FibResult::Exists,
    ];
    [FibSource::Saddr, FibSource::Daddr]
        .into_iter()
        .flat_map(move |of| results.map(|result| (of, result)))
        .flat_map(|(of, result)| (0..8).map(move |also| (of, result, also)))
        .map(|(of, result, also)| Fib {
            of,
            mark: also & 1 != 0,
            iif: also & 2 != 0,
            oif: also & 4 != 0,
            result,
        })
}

/// The fact that `words` begin with, and how many of them it takes.
pub(super) fn read(words: &[&str]) -> Result<(Field, Loaded, usize), String> {
    let tellable = tellable();
    let matching = tellable.iter().filter_map(|(text, field)| {
        // `meta` may be left out, as in nft.
        let short = text.strip_prefix("meta ").unwrap_or(text);
        let mut forms = [text.as_str(), short].into_iter();
        let length = forms.find_map(|form| begins(words, form))?;
        Some((length, *field, text))
    });
    let mut matching: Vec<_> = matching.collect();
    let longest = matching.iter().map(|(length, ..)| *length).max();
    matching.retain(|(length, ..)| Some(*length) == longest);
    let Some((length, field, text)) = matching.first().copied() else {
        return Err(unknown(words, &tellable));
    };
    let Some(word) = words.get(length) else {
        return Err(alloc::format!("the value of `{text}` is missing"));
    };
    match *word {
        "unknown" => return Ok((field, Loaded::Unknown, length + 1)),
        "absent" => return Ok((field, Loaded::Absent, length + 1)),
        _ => {}
    }
    // `fib … oif` asks for a number, or for whether there is one.
    let mut values = matching
        .iter()
        .map(|(_, field, _)| (*field, value(*field, word)));
    match values.find(|(_, value)| value.is_some_and(|it| it <= field.max())) {
        Some((field, Some(value))) => Ok((field, Loaded::Value(value), length + 1)),
        _ => Err(alloc::format!(
            "{} is no value of `{text}`: {}, `unknown` or `absent`",
            Quoted(word),
            allowed(field)
        )),
    }
}

/// Whether `words` begin with those of `form`; how many they are.
fn begins(words: &[&str], form: &str) -> Option<usize> {
    let wanted: Vec<&str> = form.split(' ').collect();
    words.starts_with(&wanted).then_some(wanted.len())
}

fn unknown(words: &[&str], tellable: &[(String, Field)]) -> String {
    let word = words.first().copied().unwrap_or_default();
    let mut near: Vec<String> = Vec::new();
    for (text, _) in tellable {
        let quoted = alloc::format!("`{text}`");
        if text.split(' ').any(|part| part == word) && !near.contains(&quoted) {
            near.push(quoted);
        }
    }
    near.truncate(NEAR);
    if near.is_empty() {
        near = ["meta mark", "ct mark", "tcp flags", "ip dscp", "iifgroup"]
            .map(|text| alloc::format!("`{text}`"))
            .into();
    }
    alloc::format!(
        "{} is neither a ct state, nor `hoplimit N`, nor a field with its value, such as {}",
        Quoted(word),
        near.join(", ")
    )
}

/// Why a packet cannot have a field that it is said to have.
pub(super) fn contradiction(packet: &Packet, field: Field) -> Option<String> {
    let family = packet.addresses.family();
    if field.family().is_some_and(|needed| needed != family) {
        let family = family.nfproto();
        return Some(alloc::format!("an {family} packet has no `{field}`"));
    }
    if field
        .protocol()
        .is_some_and(|needed| needed != packet.protocol())
    {
        let number = packet.protocol();
        let name = protocol_name(number).map_or_else(|| number.to_string(), str::to_string);
        return Some(alloc::format!(
            "a packet of protocol {name} has no `{field}`"
        ));
    }
    if !field.is_known_at(packet.hook) {
        return Some(alloc::format!("`{field}` is not known at {}", packet.hook));
    }
    let has_ports = matches!(packet.transport, Transport::Ports { .. });
    if has_ports && matches!(field, Field::ThSport | Field::ThDport) {
        return Some(alloc::format!("the ports say `{field}` already"));
    }
    if field.is_of_connection() && !packet.has_connection() {
        let state = packet.ct_state.keyword();
        return Some(alloc::format!("an {state} packet has no `{field}`"));
    }
    None
}

/// The number that a word stands for as a value of `field`.
fn value(field: Field, word: &str) -> Option<u128> {
    if let Some(names) = bits(field)
        && let Some(sum) = sum(names, word)
    {
        return Some(sum);
    }
    let kind = field.kind();
    if let Some(named) = (0..=u128::from(u8::MAX)).find(|it| kind.name(*it) == Some(word)) {
        return Some(named);
    }
    match kind {
        Kind::Address(family) => {
            let address = word.parse::<IpAddr>().ok()?;
            (Family::of(address) == family).then(|| address_bits(address))
        }
        Kind::Interface => {
            let name = InterfaceName::new(word.trim_matches('"')).ok()?;
            interface::number(name.as_str())
        }
        Kind::EtherAddress => ether_address(word),
        Kind::Exists => None,
        _ => match word.strip_prefix("0x") {
            Some(digits) if !digits.starts_with('+') => u128::from_str_radix(digits, 16).ok(),
            Some(_) => None,
            None if word.starts_with('+') => None,
            None => word.parse().ok(),
        },
    }
}

/// The names of the bits of a field, if they have names.
fn bits(field: Field) -> Option<Vec<(u128, &'static str)>> {
    match field {
        Field::TcpFlags => Some(TCP_FLAGS.map(|(bit, name)| (bit.into(), name)).into()),
        Field::CtStatus => Some(CT_STATUS.map(|(bit, name)| (bit.into(), name)).into()),
        _ => None,
    }
}

/// `syn,ack`
fn sum(names: Vec<(u128, &'static str)>, word: &str) -> Option<u128> {
    let bit = |name: &str| {
        let mut known = names.iter();
        known.find(|(_, known)| *known == name).map(|(bit, _)| *bit)
    };
    let bits: Option<Vec<u128>> = word.split(',').map(bit).collect();
    Some(bits?.into_iter().fold(0, |sum, bit| sum | bit))
}

fn ether_address(word: &str) -> Option<u128> {
    let bytes: Vec<u128> = word
        .split(':')
        .map(|byte| match byte.len() {
            2 => u8::from_str_radix(byte, 16).ok().map(u128::from),
            _ => None,
        })
        .collect::<Option<_>>()?;
    (bytes.len() == 6).then(|| bytes.into_iter().fold(0, |sum, byte| sum << 8 | byte))
}

/// What a field can be, in a message.
fn allowed(field: Field) -> String {
    if let Some(names) = bits(field) {
        let names: Vec<&str> = names.into_iter().map(|(_, name)| name).collect();
        return alloc::format!(
            "it is a number to {:#x}, or some of {}",
            field.max(),
            names.join(",")
        );
    }
    let kind = field.kind();
    match kind {
        Kind::Address(family) => alloc::format!("it is an {} address", family.nfproto()),
        Kind::Interface => "it is an interface name".to_string(),
        Kind::EtherAddress => "it is six bytes as in 00:11:22:33:44:55".to_string(),
        Kind::Exists => match field {
            Field::Fib(_) => "it is a number, `exists` or `missing`".to_string(),
            _ => "it is `exists` or `missing`".to_string(),
        },
        _ => {
            let names = (0..=u128::from(u8::MAX)).filter_map(|number| kind.name(number));
            let names: Vec<&str> = names.take(16).collect();
            let max = field.max();
            match names.as_slice() {
                [] => alloc::format!("it is a number from 0 to {max}"),
                names => alloc::format!("it is a number from 0 to {max}, or {}", names.join(", ")),
            }
        }
    }
}

/// A fact as [`read`] reads it.
pub(super) fn text(field: Field, loaded: Loaded) -> String {
    let number = match loaded {
        Loaded::Absent => return alloc::format!("{field} absent"),
        Loaded::Unknown => return alloc::format!("{field} unknown"),
        Loaded::Value(number) => number,
    };
    let names = bits(field).unwrap_or_default();
    let named = names.iter().filter(|(bit, _)| number & bit != 0);
    let (bits, words): (Vec<u128>, Vec<&str>) = named.copied().unzip();
    let all = bits.into_iter().fold(0, |sum, bit| sum | bit) == number;
    if all && !words.is_empty() {
        return alloc::format!("{field} {}", words.join(","));
    }
    match field.kind() {
        Kind::Interface => match interface::name(number) {
            // Bare, these are no names.
            name if matches!(name.as_str(), "unknown" | "absent") => {
                alloc::format!("{field} \"{name}\"")
            }
            name => alloc::format!("{field} {name}"),
        },
        kind => alloc::format!("{field} {}", kind.value(number)),
    }
}
