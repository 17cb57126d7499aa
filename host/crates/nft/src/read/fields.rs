//! What a rule looks at, as nft writes it: `{"payload": …}`, `{"meta": …}`, `{"ct": …}`.

use portreeve_model::address::Family;
use portreeve_model::field::{
    Direction, EXTENSION_HEADERS, Fib, FibResult, FibSource, Field, PortProtocol,
};
use portreeve_model::tables::TableFamily;
use serde_json::Value;

use super::types::Datatype;
use super::values::{attributes, only_entry};

/// The field that nft writes so in a table of `family`, and the type of its values.
///
/// An interface is listed by its name even where the rule has its index; as long as it is listed,
/// the name says the same.
pub(super) fn field(json: &Value, family: TableFamily) -> Option<(Field, Datatype)> {
    let (kind, body) = only_entry(json)?;
    let field = match kind {
        "meta" => meta(body)?,
        "payload" => payload(body)?,
        "ct" => ct(body, family)?,
        "fib" => fib(body)?,
        "exthdr" => extension_header(body)?,
        _ => return None,
    };
    let by_name = match field {
        Field::Iif => Field::Iifname,
        Field::Oif => Field::Oifname,
        Field::Fib(fib) if fib.result == FibResult::Oif => Field::Fib(Fib {
            result: FibResult::Oifname,
            ..fib
        }),
        other => other,
    };
    Some((by_name, Datatype::of(field)))
}

fn word<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key)?.as_str()
}

fn meta(body: &Value) -> Option<Field> {
    attributes(body, &["key"])?;
    Some(match word(body, "key")? {
        "iif" => Field::Iif,
        "iifname" => Field::Iifname,
        "iifgroup" => Field::Iifgroup,
        "iiftype" => Field::Iiftype,
        "oif" => Field::Oif,
        "oifname" => Field::Oifname,
        "oifgroup" => Field::Oifgroup,
        "oiftype" => Field::Oiftype,
        "pkttype" => Field::Pkttype,
        "mark" => Field::Mark,
        "priority" => Field::Priority,
        "skuid" => Field::Skuid,
        "skgid" => Field::Skgid,
        "time" => Field::Time,
        "day" => Field::Day,
        "hour" => Field::Hour,
        // Two names of one test.
        "ipsec" | "secpath" => Field::Ipsec,
        "length" => Field::Length,
        "protocol" => Field::Protocol,
        "nfproto" => Field::Nfproto,
        "l4proto" => Field::L4proto,
        _ => return None,
    })
}

fn payload(body: &Value) -> Option<Field> {
    if let Some(raw) = attributes(body, &["base", "offset", "len"]) {
        // Bytes that have a name whatever the protocol is.
        return match (
            word(body, "base")?,
            raw["offset"].as_u64()?,
            raw["len"].as_u64()?,
        ) {
            ("th", 0, 16) => Some(Field::ThSport),
            ("th", 16, 16) => Some(Field::ThDport),
            _ => None,
        };
    }
    attributes(body, &["protocol", "field"])?;
    let name = word(body, "field")?;
    match word(body, "protocol")? {
        "ip" => network(Family::Ip, name),
        "ip6" => network(Family::Ip6, name),
        "icmp" => icmp(Family::Ip, name),
        "icmpv6" => icmp(Family::Ip6, name),
        "ether" => match name {
            "saddr" => Some(Field::EtherSaddr),
            "daddr" => Some(Field::EtherDaddr),
            "type" => Some(Field::EtherType),
            _ => None,
        },
        "th" => match name {
            "sport" => Some(Field::ThSport),
            "dport" => Some(Field::ThDport),
            _ => None,
        },
        transport => {
            let mut known = PortProtocol::ALL.into_iter();
            let protocol = known.find(|protocol| protocol.keyword() == transport)?;
            match name {
                "sport" => Some(Field::Sport(protocol)),
                "dport" => Some(Field::Dport(protocol)),
                "flags" if protocol == PortProtocol::Tcp => Some(Field::TcpFlags),
                _ => None,
            }
        }
    }
}

fn network(family: Family, name: &str) -> Option<Field> {
    Some(match (family, name) {
        (_, "saddr") => Field::Saddr(family),
        (_, "daddr") => Field::Daddr(family),
        (_, "dscp") => Field::Dscp(family),
        (_, "ecn") => Field::Ecn(family),
        (_, "length") => Field::NetworkLength(family),
        (Family::Ip, "ttl") | (Family::Ip6, "hoplimit") => Field::HopLimit(family),
        (Family::Ip, "protocol") | (Family::Ip6, "nexthdr") => Field::NextHeader(family),
        (Family::Ip, "id") => Field::IpId,
        (Family::Ip, "frag-off") => Field::IpFragOff,
        (Family::Ip6, "flowlabel") => Field::Flowlabel,
        _ => return None,
    })
}

fn icmp(family: Family, name: &str) -> Option<Field> {
    Some(match name {
        "type" => Field::IcmpType(family),
        "code" => Field::IcmpCode(family),
        "id" => Field::IcmpId(family),
        "sequence" => Field::IcmpSequence(family),
        _ => return None,
    })
}

fn ct(body: &Value, table: TableFamily) -> Option<Field> {
    attributes(body, &["key", "dir"])?;
    let direction = match word(body, "dir") {
        Some(word) => Some(
            Direction::BOTH
                .into_iter()
                .find(|it| it.keyword() == word)?,
        ),
        None if body.get("dir").is_some() => return None,
        None => None,
    };
    let of_table = match table {
        TableFamily::Ip => Some(Family::Ip),
        TableFamily::Ip6 => Some(Family::Ip6),
        TableFamily::Inet | TableFamily::Arp | TableFamily::Bridge | TableFamily::Netdev => None,
    };
    Some(match (word(body, "key")?, direction) {
        ("state", None) => Field::CtState,
        ("direction", None) => Field::CtDirection,
        ("status", None) => Field::CtStatus,
        ("mark", None) => Field::CtMark,
        ("zone", None) => Field::CtZone,
        ("expiration", None) => Field::CtExpiration,
        // Both directions of a connection have the same, so the word is left out.
        ("l3proto", _) => Field::CtL3proto,
        ("protocol", None) => Field::CtProtocol(Direction::Original),
        ("protocol", Some(direction)) => Field::CtProtocol(direction),
        ("saddr", Some(direction)) => Field::CtSaddr(direction, of_table?),
        ("daddr", Some(direction)) => Field::CtDaddr(direction, of_table?),
        ("ip saddr", Some(direction)) => Field::CtSaddr(direction, Family::Ip),
        ("ip daddr", Some(direction)) => Field::CtDaddr(direction, Family::Ip),
        ("ip6 saddr", Some(direction)) => Field::CtSaddr(direction, Family::Ip6),
        ("ip6 daddr", Some(direction)) => Field::CtDaddr(direction, Family::Ip6),
        ("proto-src", Some(direction)) => Field::CtSport(direction),
        ("proto-dst", Some(direction)) => Field::CtDport(direction),
        _ => return None,
    })
}

fn fib(body: &Value) -> Option<Field> {
    attributes(body, &["result", "flags"])?;
    let result = match word(body, "result")? {
        "type" => FibResult::Type,
        "oif" => FibResult::Oif,
        "oifname" => FibResult::Oifname,
        "check" => FibResult::Exists,
        _ => return None,
    };
    let flags = body.get("flags")?;
    let flags = match flags {
        Value::Array(flags) => flags.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut fib = Fib {
        of: FibSource::Saddr,
        mark: false,
        iif: false,
        oif: false,
        result,
    };
    let mut sources = 0;
    for flag in flags {
        match flag.as_str()? {
            "saddr" => sources += 1,
            "daddr" => {
                fib.of = FibSource::Daddr;
                sources += 1;
            }
            "mark" => fib.mark = true,
            "iif" => fib.iif = true,
            "oif" => fib.oif = true,
            _ => return None,
        }
    }
    (sources == 1).then_some(Field::Fib(fib))
}

/// `exthdr NAME exists`; the fields of extension headers are not known.
fn extension_header(body: &Value) -> Option<Field> {
    attributes(body, &["name"])?;
    let name = word(body, "name")?;
    let mut known = EXTENSION_HEADERS.iter();
    let header = known.find(|(_, of)| *of == name)?;
    Some(Field::Exthdr(header.0))
}
