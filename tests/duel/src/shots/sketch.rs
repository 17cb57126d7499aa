//! What is wanted of a packet: something that one rule or another asks for, and the rest at random.

use portreeve_model::address::Family;
use portreeve_model::field::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};
use portreeve_model::packet::{CtState, Hook};
use portreeve_wire::packet::{Damage, OPTIONS_HEADERS, Recipe};

use super::Entry;
use crate::arena::INTERFACES;
use crate::draw::aim::{Aim, NO_EXTENSION, Wish};
use crate::draw::theme::Place;
use crate::draw::values::{local, port, remote, source};
use crate::draw::{Chain, Rule, Ruleset, Table};
use crate::facts::{Route, route};
use crate::observer::{MARKS, Number};
use crate::random::Random;

/// What is wanted of a packet.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    /// How it enters.
    pub(super) entry: Entry,
    /// The packet itself; its number comes last.
    pub(super) recipe: Recipe,
    /// The class of mark that it begins with.
    pub(super) mark: u16,
    /// What conntrack shall say of it.
    pub(super) state: Option<CtState>,
    /// Whether it goes back to who began its connection.
    pub(super) reply: bool,
    /// Whom its frame addresses, as `meta pkttype` says it.
    pub(super) pkttype: u8,
}

/// A way into a rule set: the rules of a base chain that lead to other chains, one after the other,
/// and the rule that it ends at.
#[derive(Clone, Debug)]
pub(super) struct Way<'a> {
    place: Place,
    /// Each rule, with what leads a packet from it to the chain of the next.
    rules: Vec<(&'a Rule, Option<&'a Wish>)>,
}

/// Ways of a rule set at most; the first ones.
const WAYS_MAX: usize = 1_000;

/// Every way into the rule set: one for each rule and each sequence of rules that leads to it.
pub(super) fn ways(ruleset: &Ruleset) -> Vec<Way<'_>> {
    let mut ways = Vec::new();
    for table in &ruleset.tables {
        for chain in table.chains.iter().filter(|it| it.base.is_some()) {
            follow(table, chain, &mut Vec::new(), &mut ways);
        }
    }
    ways
}

/// The ways that go on in this chain after `before`.
fn follow<'a>(
    table: &'a Table,
    chain: &'a Chain,
    before: &mut Vec<(&'a Rule, Option<&'a Wish>)>,
    ways: &mut Vec<Way<'a>>,
) {
    for rule in &chain.rules {
        if ways.len() >= WAYS_MAX {
            return;
        }
        let last = (rule, None);
        ways.push(Way {
            place: chain.place,
            rules: before.iter().copied().chain([last]).collect(),
        });
        for (target, wish) in &rule.leads_to {
            before.push((rule, Some(wish)));
            follow(table, &table.chains[*target], before, ways);
            before.pop();
        }
    }
}

impl Way<'_> {
    /// How many things its rules ask of a packet.
    pub(super) fn conditions(&self) -> usize {
        self.rules.iter().map(|(rule, _)| rule.wishes.len()).sum()
    }

    /// A packet that goes this way, as far as what its rules ask is known; or just beside, where
    /// one of the conditions does not hold.
    pub(super) fn packet(&self, random: &mut Random, beside: Option<usize>) -> Sketch {
        let family = random.pick(self.place.families);
        let mut sketch = any(random, family, self.place.hook);
        let mut wishes: Vec<Wish> = Vec::new();
        let mut nth = 0;
        for (rule, leads_on) in &self.rules {
            for asked in &rule.wishes {
                let choice = if beside == Some(nth) {
                    &asked.near
                } else {
                    &asked.hits
                };
                if !choice.is_empty() {
                    wishes.push(random.pick(choice));
                }
                nth += 1;
            }
            wishes.extend(leads_on.cloned());
        }
        // What the first rules ask comes last, for without it the others are not reached.
        for (aim, value) in wishes.iter().rev().flatten() {
            sketch.give(random, *aim, *value, self.place.hook);
        }
        sketch
    }
}

/// A packet that is aimed at nothing.
pub(super) fn stray(random: &mut Random, ruleset: &Ruleset) -> Sketch {
    let table = &ruleset.tables[random.up_to(ruleset.tables.len())];
    let bases = table.chains.iter().filter(|it| it.base.is_some());
    let places: Vec<Place> = bases.map(|it| it.place).collect();
    let place = random.pick(&places);
    let family = random.pick(place.families);
    any(random, family, place.hook)
}

/// Any packet that passes `hook`.
fn any(random: &mut Random, family: Family, hook: Hook) -> Sketch {
    let sent = match hook {
        Hook::Output => true,
        Hook::Postrouting => random.one_in(2),
        Hook::Prerouting | Hook::Input | Hook::Forward => false,
    };
    let leaves = match hook {
        Hook::Input => false,
        Hook::Prerouting => random.one_in(4),
        Hook::Forward | Hook::Output | Hook::Postrouting => true,
    };
    let protocol = random.pick(&[6, 6, 6, 17, 17, 1, 58, 132, 136, 33, 47, 255]);
    Sketch {
        entry: if sent {
            Entry::Sent
        } else {
            Entry::Wire(random.up_to(INTERFACES.len()))
        },
        recipe: Recipe {
            number: Number::PREPARING.0,
            family,
            saddr: source(random, family) | 2,
            daddr: if leaves {
                remote(random, family)
            } else {
                local(random, family)
            },
            hop_limit: random.pick(&[2, 63, 64, 64, 128, 255]),
            traffic_class: random.pick(&[0, 0, 0x20, 0xb8, 3, 0xff]),
            protocol: match (protocol, family) {
                (1 | 58, Family::Ip) => PROTOCOL_ICMP,
                (1 | 58, Family::Ip6) => PROTOCOL_ICMPV6,
                (other, _) => other,
            },
            extension: (family == Family::Ip6 && random.one_in(20))
                .then(|| random.pick(&OPTIONS_HEADERS)),
            sport: port(random) as u16,
            dport: port(random) as u16,
            tcp_flags: random.pick(&[2, 0x10, 0x12, 0x18, 4, 0x11, 0x42, 0, 0xff]),
            icmp_type: random.pick(&[0, 3, 8, 8, 11, 128, 128, 129, 133, 135, 136, 1, 130]),
            icmp_code: random.pick(&[0, 0, 0, 1, 3, 13]),
            icmp_id: random.next() as u16,
            icmp_sequence: random.pick(&[0, 1, 7]),
            payload: vec![0; random.pick(&[0, 0, 0, 1, 8, 20, 60])],
            damage: match random.up_to(60) {
                0 => Damage::Truncated(random.up_to(21) as u8),
                1 => Damage::Fragment(random.pick(&[0, 1, 2, 185]), random.one_in(2)),
                _ => Damage::None,
            },
        },
        mark: random.pick(&[0, 0, 1, 2, 3]),
        state: match random.up_to(12) {
            0 => Some(CtState::Established),
            1 => Some(CtState::Related),
            2 => Some(CtState::Invalid),
            3..=5 => Some(CtState::New),
            _ => Some(CtState::Untracked),
        },
        reply: random.one_in(3),
        pkttype: 0,
    }
}

impl Sketch {
    fn give(&mut self, random: &mut Random, aim: Aim, value: u128, hook: Hook) {
        let recipe = &mut self.recipe;
        match aim {
            Aim::Family(family) => self.of_family(random, family, hook),
            Aim::Saddr(family) => {
                self.of_family(random, family, hook);
                self.recipe.saddr = value;
            }
            Aim::Daddr(family) => {
                self.of_family(random, family, hook);
                self.recipe.daddr = value;
            }
            Aim::Protocol => recipe.protocol = value as u8,
            Aim::Sport => recipe.sport = value as u16,
            Aim::Dport => recipe.dport = value as u16,
            Aim::TcpFlags => recipe.tcp_flags = value as u8,
            Aim::IcmpType => recipe.icmp_type = value as u8,
            Aim::IcmpCode => recipe.icmp_code = value as u8,
            Aim::IcmpId => recipe.icmp_id = value as u16,
            Aim::IcmpSequence => recipe.icmp_sequence = value as u16,
            Aim::HopLimit => recipe.hop_limit = value as u8,
            Aim::Dscp => recipe.traffic_class = recipe.traffic_class & 3 | (value as u8) << 2,
            Aim::Ecn => recipe.traffic_class = recipe.traffic_class & !3 | value as u8 & 3,
            Aim::Length => {
                recipe.payload.clear();
                let header = recipe.bytes().len() as u128;
                let length = value.saturating_sub(header).min(1000) as usize;
                recipe.payload = vec![0; length];
            }
            Aim::Interface => {
                if self.entry != Entry::Sent {
                    self.entry = Entry::Wire((value as usize).saturating_sub(2) % INTERFACES.len());
                }
            }
            Aim::Mark => {
                let class = MARKS.iter().position(|mark| u128::from(*mark) == value);
                self.mark = class.unwrap_or_default() as u16;
            }
            Aim::State(state) => self.state = Some(state),
            Aim::Direction => self.reply = value == 1,
            Aim::Fragment if value == 1 => {
                recipe.damage = Damage::Fragment(random.pick(&[0, 1, 185]), random.one_in(2));
            }
            Aim::Fragment => recipe.damage = Damage::None,
            Aim::Extension => {
                let number = u8::try_from(value).unwrap_or_default();
                let of_options = value != NO_EXTENSION && OPTIONS_HEADERS.contains(&number);
                recipe.extension = of_options.then_some(number);
            }
            Aim::Oif => {
                let at = (value as usize).saturating_sub(2) % INTERFACES.len();
                let nets = [0xc612_0000, 0xc613_0000, 0xcb00_7100, 0xc000_0200];
                let halves = [0x18, 0x19, 0x203, 0x192_u128];
                let low = u128::from(random.next() & 0xff);
                recipe.daddr = match recipe.family {
                    Family::Ip => nets[at] | low,
                    Family::Ip6 => 0x2001_0db8 << 96 | halves[at] << 80 | low,
                };
            }
            Aim::Pkttype => {
                if self.entry != Entry::Sent {
                    self.pkttype = value as u8;
                    self.entry = Entry::Wire(1);
                }
            }
        }
    }

    /// Makes it a packet of this family.
    fn of_family(&mut self, random: &mut Random, family: Family, hook: Hook) {
        if self.recipe.family != family {
            let Sketch { recipe, .. } = any(random, family, hook);
            self.recipe.family = family;
            self.recipe.saddr = recipe.saddr;
            self.recipe.daddr = recipe.daddr;
            self.recipe.extension = recipe.extension;
            self.recipe.protocol = match (self.recipe.protocol, family) {
                (PROTOCOL_ICMPV6, Family::Ip) => PROTOCOL_ICMP,
                (PROTOCOL_ICMP, Family::Ip6) => PROTOCOL_ICMPV6,
                (other, _) => other,
            };
        }
    }
}

/// Takes away what would keep the packet from being comparable.
pub(super) fn tame(random: &mut Random, sketch: &mut Sketch) {
    let recipe = &mut sketch.recipe;
    // No router takes packets from such addresses, or to them.
    let of_group = recipe.family == Family::Ip6 && recipe.saddr.trailing_zeros() >= 14;
    if of_group || !is_ordinary(recipe.family, recipe.saddr) || recipe.saddr == recipe.daddr {
        recipe.saddr = remote(random, recipe.family) | 1;
    }
    let way = route(recipe.family, recipe.daddr);
    // What is a part of a connection has somebody who answers.
    let alone = sketch.entry == Entry::Sent
        || matches!(sketch.state, Some(CtState::Established | CtState::Related));
    let special = matches!(way, Route::Group(_) | Route::Everybody);
    if alone && !way.is_reached() || !special && !is_ordinary(recipe.family, recipe.daddr) {
        recipe.daddr = remote(random, recipe.family);
    }
    // Extension headers of IPv6, or none at all, are no transport protocols.
    if recipe.family == Family::Ip6
        && matches!(
            recipe.protocol,
            0 | 43 | 44 | 51 | 59 | 60 | 135 | 139 | 140
        )
    {
        recipe.protocol = 255;
    }
    // nft leaves `meta nfproto ipv4` out before `meta l4proto icmp`, and then these differ.
    recipe.protocol = match (recipe.protocol, recipe.family) {
        (PROTOCOL_ICMPV6, Family::Ip) => PROTOCOL_ICMP,
        (PROTOCOL_ICMP, Family::Ip6) => PROTOCOL_ICMPV6,
        (other, _) => other,
    };
    // Conntrack has opinions of its own on others.
    let simple = matches!(
        recipe.protocol,
        PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_ICMP | PROTOCOL_ICMPV6
    );
    if matches!(recipe.damage, Damage::Fragment(0, false)) {
        recipe.damage = Damage::Fragment(0, true);
    }
    let whole = matches!(recipe.damage, Damage::None);
    if !simple || !whole {
        sketch.state = Some(CtState::Untracked);
    }
    if sketch.entry != Entry::Sent {
        // A hop is taken off before a packet is forwarded, and the last one may not be.
        recipe.hop_limit = recipe.hop_limit.max(2);
    }
}

/// Whether an address is one of a single machine, and not of the loopback interface.
fn is_ordinary(family: Family, address: u128) -> bool {
    match family {
        Family::Ip => !matches!(address >> 24, 0 | 127 | 224..),
        Family::Ip6 => !matches!(address >> 112, 0 | 0xfe80..),
    }
}
