//! Random matches on transport headers.

use portreeve_model::address::Family;

use super::aim::{Aim, Wishes};
use super::matches::Match;
use super::numeric::{Numeric, plain};
use super::theme::{Theme, icmp};
use super::values::port;
use crate::random::Random;

pub(super) fn ports(random: &mut Random, name: &str, number: u128) -> Match {
    let (word, aim) = random.pick(&[("sport", Aim::Sport), ("dport", Aim::Dport)]);
    Numeric {
        left: format!("{name} {word}"),
        construct: "port",
        max: 0xffff,
        pick: &port,
        write: &plain,
        wish: &|value| vec![(Aim::Protocol, number), (aim, value)],
        masks: true,
    }
    .draw(random)
}

pub(super) fn transport_ports(random: &mut Random) -> Match {
    let (word, aim) = random.pick(&[("sport", Aim::Sport), ("dport", Aim::Dport)]);
    Numeric {
        left: format!("th {word}"),
        construct: "th port",
        max: 0xffff,
        pick: &port,
        write: &plain,
        wish: &|value| vec![(aim, value)],
        masks: true,
    }
    .draw(random)
}

const FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];

/// `tcp flags`, in every spelling that nft has.
pub(super) fn tcp_flags(random: &mut Random) -> Match {
    let pick = |random: &mut Random| -> u128 {
        let any = u128::from(random.next() as u8 | 1);
        random.pick(&[1, 2, 4, 0x10, 0x12, 0x11, 0x14, 0x42, any])
    };
    let names = |flags: u128, between: &str| {
        let set = (0..8).filter(|bit| flags >> bit & 1 == 1);
        let names: Vec<&str> = set.map(|bit| FLAGS[bit]).collect();
        names.join(between)
    };
    let (value, mask) = (pick(random), pick(random) | pick(random));
    let masked = value & mask;
    let set = |random: &mut Random| match masked {
        0 => "0".to_owned(),
        _ if random.one_in(2) => format!("{masked:#x}"),
        one if one.is_power_of_two() => names(one, ""),
        _ => format!("({})", names(masked, " | ")),
    };
    let mask_text = if random.one_in(2) {
        format!("({})", names(mask, " | "))
    } else {
        format!("{mask:#x}")
    };
    let (not, of) = random.pick(&[("", "=="), ("!= ", "!=")]);
    let text = match random.up_to(7) {
        0 => format!("tcp flags {not}{}", names(value, ",")),
        1 => format!("tcp flags {of} {}", names(value, " | ")),
        2 => format!("tcp flags {not}{{ {} }}", names(value, " | ")),
        3 => format!(
            "tcp flags {not}{{ {}, {value:#x} }}",
            names(value ^ 2 | 1, " | ")
        ),
        4 if masked.count_ones() > 1 => format!(
            "tcp flags {not}{} / {}",
            names(masked, ","),
            names(mask, ",")
        ),
        _ => format!("tcp flags & {mask_text} {of} {}", set(random)),
    };
    let bit = 1 << random.up_to(8);
    let also = u128::from(random.next() as u8) & !mask;
    let wish = |flags: u128| vec![(Aim::Protocol, 6), (Aim::TcpFlags, flags & 0xff)];
    Match {
        text,
        construct: "tcp flags",
        wishes: Wishes {
            hits: vec![wish(value), wish(masked), wish(masked | also)],
            near: vec![wish(value ^ bit), wish(masked ^ bit), wish(0)],
        },
    }
}

pub(super) fn icmp_fields(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    let (name, number) = icmp(family);
    let types: &[u128] = match family {
        Family::Ip => &[0, 3, 5, 8, 11, 12, 13, 255],
        Family::Ip6 => &[1, 2, 3, 4, 128, 129, 130, 133, 134, 135, 136, 137, 143],
    };
    let base = [(Aim::Family(family), 0), (Aim::Protocol, number)];
    let (word, aim, max) = if theme.echo {
        random.pick(&[
            ("id", Aim::IcmpId, 0xffff),
            ("sequence", Aim::IcmpSequence, 0xffff),
        ])
    } else {
        random.pick(&[
            ("type", Aim::IcmpType, 0xff),
            ("type", Aim::IcmpType, 0xff),
            ("code", Aim::IcmpCode, 0xff),
        ])
    };
    let pick = move |random: &mut Random| match aim {
        Aim::IcmpType => random.pick(types),
        Aim::IcmpCode => random.pick(&[0, 1, 3, 4, 9, 13, 255]),
        _ => random.pick(&[0, 1, 7, 0x1234, 0xffff]),
    };
    // nft looks for an identifier or a number in echoes only.
    let echo = match (aim, family) {
        (Aim::IcmpType | Aim::IcmpCode, _) => None,
        (_, Family::Ip) => Some((Aim::IcmpType, 8)),
        (_, Family::Ip6) => Some((Aim::IcmpType, 128)),
    };
    Numeric {
        left: format!("{name} {word}"),
        construct: "icmp",
        max,
        pick: &pick,
        write: &plain,
        wish: &|value| base.into_iter().chain(echo).chain([(aim, value)]).collect(),
        masks: false,
    }
    .draw(random)
}
