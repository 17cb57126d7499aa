//! What nft checks before a part without listing it.
//!
//! nft checks the family and the protocol of a packet before it looks into a header (nft(8),
//! "Payload expressions"), and lists neither when the next part implies it.

use portreeve_model::address::Family;
use portreeve_model::field::Field;
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::tables::{Expression, Match, Operand, Part, TableFamily};

use super::surroundings::Surroundings;

impl Surroundings {
    /// The check of the family that nft makes without listing it, if no part `before` is one.
    pub(super) fn only_family(&self, family: Family, before: &[Part]) -> Option<Part> {
        let check = match self.family {
            TableFamily::Ip | TableFamily::Ip6 => return None,
            TableFamily::Inet => is(Field::Nfproto, family.number().into()),
            TableFamily::Arp | TableFamily::Bridge | TableFamily::Netdev => {
                is(Field::Protocol, ethertype(family))
            }
        };
        // A transport header may have been looked into without asking for the family.
        let implies = |field: Field| field.family() == Some(family) && !field.is_of_transport();
        let is_checked = before
            .iter()
            .any(|part| *part == check || asked(part).any(implies));
        (!is_checked).then_some(check)
    }
}

/// The check of the transport protocol that nft makes without listing it, if no part `before` is
/// one.
pub(super) fn only_protocol(protocol: u8, before: &[Part]) -> Option<Part> {
    let check = is(Field::L4proto, protocol.into());
    let header = [Family::Ip, Family::Ip6].map(|it| is(Field::NextHeader(it), protocol.into()));
    let is_checked = before.iter().any(|part| {
        *part == check
            || header.contains(part)
            || asked(part).any(|field| field.protocol() == Some(protocol))
    });
    (!is_checked).then_some(check)
}

/// The fields that a part asks for, so that a packet without them does not pass it.
fn asked(part: &Part) -> impl Iterator<Item = Field> {
    let left = match part {
        Part::Match(condition) => Some(&condition.left),
        Part::VerdictMap { key, .. } => Some(key),
        _ => None,
    };
    let parts = match left {
        Some(Expression::Concatenation(parts)) => parts.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    parts.iter().filter_map(|part| match part {
        Expression::Field(field) => Some(*field),
        Expression::Bits { of, .. } => match of.as_ref() {
            Expression::Field(field) => Some(*field),
            _ => None,
        },
        _ => None,
    })
}

/// `ETH_P_IP` and `ETH_P_IPV6` in `linux/if_ether.h`.
const fn ethertype(family: Family) -> u128 {
    match family {
        Family::Ip => 0x0800,
        Family::Ip6 => 0x86dd,
    }
}

/// Whether a condition says all that is checked: an echo's identifier and number are listed after
/// the type that has them, and mean something else without it.
pub(super) fn is_certain(part: &Part, before: &[Part]) -> bool {
    let of_echo = |field| matches!(field, Field::IcmpId(_) | Field::IcmpSequence(_));
    let asks_echo = asked(part).any(of_echo);
    let has_type = |part: &Part| asked(part).any(|field| matches!(field, Field::IcmpType(_)));
    !asks_echo || before.iter().any(has_type)
}

/// That a field has this one value.
fn is(field: Field, number: u128) -> Part {
    Part::Match(Match {
        left: Expression::Field(field),
        negated: false,
        right: Operand::Numbers(Intervals::from_iter([Interval::single(number)])),
    })
}

/// Whether a part looks at `th` though no part says for which protocol: nft leaves out a protocol
/// that it has no ports for (`meta l4proto gre th dport 7` is listed as `th dport 7`).
pub(super) fn hides_protocol(part: &Part, before: &[Part]) -> bool {
    let of_any = |field| matches!(field, Field::ThSport | Field::ThDport);
    let of_one = |field: Field| {
        field.protocol().is_some() || matches!(field, Field::L4proto | Field::NextHeader(_))
    };
    let mut said = before.iter().chain([part]).flat_map(asked);
    asked(part).any(of_any) && !said.any(of_one)
}
