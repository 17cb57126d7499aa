//! What is wanted of a packet: something that one rule or another asks for, and the rest at random.

use portreeve_model::address::Family;
use portreeve_model::field::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};
use portreeve_model::packet::{CtState, Hook};

use super::Entry;
use crate::arena::INTERFACES;
use crate::draw::aim::{Aim, Wish};
use crate::draw::values::{local, port, remote, source};
use crate::draw::{Ruleset, Table};
use crate::facts::{Route, route};
use crate::observer::{MARKS, Number};
use crate::random::Random;
use crate::recipe::{Damage, Recipe};

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

/// A packet that is aimed at a rule.
pub(super) fn sketch(random: &mut Random, ruleset: &Ruleset) -> Sketch {
    let table = &ruleset.tables[random.up_to(ruleset.tables.len())];
    let bases: Vec<usize> = (0..table.chains.len())
        .filter(|at| table.chains[*at].base.is_some())
        .collect();
    let base = random.pick(&bases);
    let place = table.chains[base].place;
    let family = random.pick(place.families);
    let mut sketch = any(random, family, place.hook);
    if random.one_in(6) {
        return sketch;
    }
    let mut wishes = Vec::new();
    path(random, table, base, &mut wishes);
    // What the first rules of the path ask comes last, for without it the rest is not reached.
    for wish in wishes.iter().rev() {
        for (aim, value) in wish {
            sketch.give(random, *aim, *value, place.hook);
        }
    }
    sketch
}

/// Wishes for a way through a chain, down to some rule.
fn path(random: &mut Random, table: &Table, at: usize, wishes: &mut Vec<Wish>) {
    let chain = &table.chains[at];
    if chain.rules.is_empty() {
        return;
    }
    let rule = &chain.rules[random.up_to(chain.rules.len())];
    // One of them just beside, every third time.
    let beside = random.up_to(rule.wishes.len().max(1) * 3);
    for (nth, asked) in rule.wishes.iter().enumerate() {
        let choice = if nth == beside {
            &asked.near
        } else {
            &asked.hits
        };
        if !choice.is_empty() {
            wishes.push(random.pick(choice));
        }
    }
    if let [_, ..] = rule.leads_to.as_slice() {
        let next = random.pick(&rule.leads_to);
        path(random, table, next, wishes);
    }
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
            number: Number::PREPARING,
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
    let lost = sketch.entry == Entry::Sent && route(recipe.family, recipe.daddr) == Route::Nowhere;
    if lost || !is_ordinary(recipe.family, recipe.daddr) {
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
