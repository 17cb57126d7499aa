//! Random tables and packets over few values, so that rules and packets often meet: for tests of
//! whatever reads tables.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::address::Family;
use crate::field::{Field, PortProtocol, interface};
use crate::intervals::{Interval, Intervals};
use crate::packet::{Addresses, CtState, Hook, Loaded, Packet, Transport};
use crate::ruleset::{ChainPolicy, Reject};
use crate::tables::{
    Attachment, Base, Chain, ChainIndex, ChainType, Data, Elements, Expression, Lookup, Match, Nat,
    NatKind, Operand, Part, Rewrite, Row, Rows, Rule, Set, SetIndex, Table, TableFamily, Tables,
    Verdict,
};

/// Numbers in a fixed order (xorshift64, G. Marsaglia, "Xorshift RNGs", 2003).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }
}

const TCP: PortProtocol = PortProtocol::Tcp;

const FIELDS: [Field; 14] = [
    Field::Iifname,
    Field::Mark,
    Field::Nfproto,
    Field::Saddr(Family::Ip),
    Field::Daddr(Family::Ip),
    Field::Saddr(Family::Ip6),
    Field::HopLimit(Family::Ip),
    Field::L4proto,
    Field::Dport(TCP),
    Field::Dport(PortProtocol::Udp),
    Field::TcpFlags,
    Field::IcmpType(Family::Ip),
    Field::CtState,
    Field::CtMark,
];

/// Few numbers for each field.
fn number(dice: &mut Dice, field: Field) -> u128 {
    match field {
        Field::Iifname => interface::number(dice.pick(&["lo", "eth0", "eth1"]))
            .expect("made from what is allowed"),
        Field::Nfproto => dice.pick(&[2, 10]),
        Field::L4proto => dice.pick(&[1, 6, 17]),
        Field::CtState => dice.below(5) as u128,
        _ => dice.below(9) as u128,
    }
}

fn interval(dice: &mut Dice, field: Field) -> Interval {
    let (a, b) = (number(dice, field), number(dice, field));
    if dice.one_in(2) {
        Interval::single(a)
    } else {
        Interval::new(a.min(b), a.max(b)).expect("made from what is allowed")
    }
}

fn numbers(dice: &mut Dice, field: Field) -> Intervals {
    let count = 1 + dice.below(2);
    (0..count).map(|_| interval(dice, field)).collect()
}

const SETS: [Field; 2] = [Field::Saddr(Family::Ip), Field::Dport(TCP)];

fn condition(dice: &mut Dice) -> Match {
    let negated = dice.one_in(4);
    let field = dice.pick(&FIELDS);
    let of = |field| Expression::Field(field);
    let (left, right) = match dice.below(8) {
        0 => {
            let set = dice.below(SETS.len());
            let right = Operand::Elements(Lookup::Named(SetIndex(set)));
            (of(SETS[set]), right)
        }
        // Nobody looks at the bits of a name.
        1 if field != Field::Iifname => {
            let bits = Expression::Bits {
                of: of(field).into(),
                mask: number(dice, field),
                flip: dice.below(2) as u128,
            };
            (bits, Operand::Numbers(numbers(dice, field)))
        }
        2 => {
            let fields = [dice.pick(&FIELDS), dice.pick(&FIELDS)];
            let rows = (0..3).map(|_| Row {
                key: fields.map(|field| interval(dice, field)).into(),
                data: Data::None,
            });
            let rows = Rows::new(rows.collect());
            let elements = Lookup::Anonymous(Elements::Rows(rows));
            let left = Expression::Concatenation(fields.map(of).into());
            (left, Operand::Elements(elements))
        }
        3 => (of(Field::Mark), Operand::Value(of(Field::CtMark))),
        _ => (of(field), Operand::Numbers(numbers(dice, field))),
    };
    Match {
        left,
        negated,
        right,
    }
}

fn verdict(dice: &mut Dice, chain: usize) -> Verdict {
    // Nothing leads back, nor into a base chain.
    let next = (chain + 1).max(BASES);
    let target = ChainIndex(next + dice.below(CHAINS - next).min(1));
    match dice.below(7) {
        0 | 1 => Verdict::Accept,
        2 => Verdict::Drop,
        3 => Verdict::Return,
        4 => Verdict::Continue,
        5 => Verdict::Jump(target),
        _ => Verdict::Goto(target),
    }
}

fn statement(dice: &mut Dice, chain: usize) -> Part {
    match dice.below(12) {
        0 => Part::Reject(Reject::TcpReset),
        1 => Part::Assign {
            field: dice.pick(&[Field::Mark, Field::CtMark]),
            value: match dice.below(3) {
                0 => Expression::Field(dice.pick(&[Field::Mark, Field::CtMark])),
                _ => Expression::Constant(dice.below(9) as u128),
            },
        },
        2 => Part::Notrack,
        3 | 4 => {
            let field = dice.pick(&FIELDS);
            let rows = (0..2).map(|_| Row {
                key: vec![Interval::single(number(dice, field))],
                data: Data::Verdict(verdict(dice, chain)),
            });
            let mut rows: Vec<Row> = rows.collect();
            // The kernel takes no key twice.
            rows.dedup_by(|next, kept| next.key == kept.key);
            Part::VerdictMap {
                key: Expression::Field(field),
                map: Lookup::Anonymous(Elements::Rows(Rows::new(rows))),
            }
        }
        5 => Part::Counter,
        6 if dice.one_in(4) => Part::Chance("limit rate 1/second".to_string()),
        _ => Part::Verdict(verdict(dice, chain)),
    }
}

fn rule(dice: &mut Dice, chain: usize, nat: bool) -> Rule {
    let mut parts: Vec<Part> = (0..dice.below(3))
        .map(|_| Part::Match(condition(dice)))
        .collect();
    if dice.one_in(5) {
        parts.push(statement(dice, chain));
    }
    if nat && dice.one_in(3) {
        let port = Interval::single(dice.below(9) as u128);
        parts.push(Part::Nat(Nat {
            kind: NatKind::Redirect,
            family: None,
            address: None,
            port: Some(Rewrite::OneOf(port)),
            flags: Vec::new(),
        }));
    } else {
        parts.push(statement(dice, chain));
    }
    Rule {
        handle: None,
        comment: None,
        parts,
    }
}

/// Base chains first, then those that they lead to.
const CHAINS: usize = 7;
const BASES: usize = 4;

/// A table of a machine.
pub fn tables(dice: &mut Dice) -> Tables {
    let chains = (0..CHAINS).map(|index| {
        let chain_type = if index < BASES && dice.one_in(4) {
            ChainType::Nat
        } else {
            ChainType::Filter
        };
        let base = (index < BASES).then(|| Base {
            chain_type,
            attachment: Attachment::Hook(dice.pick(&[Hook::Prerouting, Hook::Input])),
            priority: dice.pick(&[-300, -200, -100, 0]).max(match chain_type {
                ChainType::Nat => -100,
                ChainType::Filter | ChainType::Route => -300,
            }),
            policy: dice.pick(&[ChainPolicy::Accept, ChainPolicy::Drop]),
        });
        let rules = if index + 1 < CHAINS { dice.below(5) } else { 0 };
        Chain {
            name: index.to_string(),
            rules: (0..rules)
                .map(|_| rule(dice, index, chain_type == ChainType::Nat))
                .collect(),
            base,
        }
    });
    let chains = chains.collect();
    let sets = SETS.map(|field| Set {
        name: field.to_string(),
        key: vec![field.kind()],
        changing: false,
        elements: Some(Elements::Numbers(Arc::new(numbers(dice, field)))),
    });
    let family = dice.pick(&[TableFamily::Inet, TableFamily::Inet, TableFamily::Ip]);
    Tables {
        tables: vec![Table {
            family,
            name: "random".to_string(),
            dormant: false,
            listed: dice.one_in(2),
            sets: sets.into(),
            chains,
            unknown: Vec::new(),
        }],
        unknown: Vec::new(),
    }
}

/// A packet that comes to this machine.
pub fn packet(dice: &mut Dice) -> Packet {
    let family = dice.pick(&[Family::Ip, Family::Ip, Family::Ip6]);
    let address = |dice: &mut Dice| family.address(dice.below(9) as u128);
    let addresses =
        Addresses::new(address(dice), address(dice)).expect("made from what is allowed");
    let transport = match dice.below(5) {
        0 => Transport::Icmp {
            icmp_type: dice.below(9) as u8,
        },
        1 => Transport::Other(dice.pick(&[1, 47, 58])),
        other => Transport::Ports {
            protocol: if other == 2 { PortProtocol::Udp } else { TCP },
            sport: dice.below(9) as u16,
            dport: dice.below(9) as u16,
        },
    };
    let mut facts = BTreeMap::new();
    for field in [Field::Mark, Field::CtMark, Field::TcpFlags] {
        if dice.one_in(2) {
            let value = match dice.below(8) {
                0 if field == Field::CtMark => Loaded::Absent,
                _ => Loaded::Value(dice.below(9) as u128),
            };
            facts.insert(field, value);
        }
    }
    Packet {
        hook: Hook::Input,
        iifname: dice.pick(&["lo", "eth0", "eth1"]).to_string(),
        oifname: String::new(),
        addresses,
        hop_limit: dice.below(9) as u8,
        transport,
        ct_state: dice.pick(&CtState::ALL),
        facts,
    }
}

/// A packet that differs from `packet` in a few fields.
pub fn neighbour(dice: &mut Dice, packet: &Packet) -> Packet {
    let other = self::packet(dice);
    let mut near = packet.clone();
    for _ in 0..1 + dice.below(3) {
        match dice.below(9) {
            0 => near.iifname.clone_from(&other.iifname),
            1 | 2 if near.addresses.family() == other.addresses.family() => {
                near.addresses = other.addresses;
            }
            3 => near.hop_limit = other.hop_limit,
            4 | 5 => near.transport = other.transport,
            6 => near.ct_state = other.ct_state,
            7 => near.facts.clone_from(&other.facts),
            _ => {
                near.addresses = other.addresses;
                near.transport = other.transport;
            }
        }
    }
    near
}
