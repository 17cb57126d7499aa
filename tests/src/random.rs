//! Random drafts that are valid, from a seed: the same seed gives the same draft everywhere.
//!
//! Every construct of the model occurs. A draft is valid by the way it is made, so a test that
//! takes a thousand of them spends no time on refused ones, and a refused one is a bug.

mod asks;
mod does;

use std::net::IpAddr;
use std::ops::RangeInclusive;

pub use portreeve_duel::random::Random;
use portreeve_model::address::{Family, Prefix};
use portreeve_model::draft::{
    AddressOperand, Base, Chain, ChainType, Draft, Element, FieldSet, Match, Rule, Set, SetNode,
    Test,
};
use portreeve_model::field::PortProtocol;
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};

use self::asks::{About, INTERFACES};

/// The rule set of the draft with this seed.
///
/// # Panics
/// When the draft is not valid: then this generator or `validate` is wrong.
#[must_use]
pub fn ruleset(seed: u64) -> Ruleset {
    let draft = draft(seed);
    validate(&draft, &Feeds::default())
        .unwrap_or_else(|defects| panic!("seed {seed}: {defects:#?}\n{draft:#?}"))
}

/// The draft with this seed.
#[must_use]
pub fn draft(seed: u64) -> Draft {
    let mut random = Random::new(seed);
    let sets = sets(&mut random);
    let field_sets = asks::field_sets(&mut random);
    let known = Known {
        sets: &sets,
        field_sets: &field_sets,
    };
    let regular = random.up_to(3);
    let mut chains = Vec::new();
    for (index, hook) in Hook::ALL.into_iter().enumerate() {
        // Input is always there, so that every draft has a base chain.
        if hook != Hook::Input && random.one_in(2) {
            continue;
        }
        for (nth, priority) in priorities(&mut random).into_iter().enumerate() {
            let base = Base {
                chain_type: ChainType::Filter,
                hook,
                priority,
                policy: random.pick(&[ChainPolicy::Accept, ChainPolicy::Drop]),
            };
            let place = Place::of(base, 0..regular);
            chains.push(Chain {
                name: format!("{}_{nth}", ["pre", "in", "fwd", "out", "post"][index]),
                base: Some(base),
                rules: rules(&mut random, known, &place),
            });
        }
    }
    chains.extend(others(&mut random, known, regular));
    for index in 0..regular {
        // Any hook may lead here, so a rule asks only what all of them know; and a chain leads
        // to later ones only, so jumps end.
        let place = Place {
            hook: None,
            tracked: false,
            translates: false,
            priority: 0,
            targets: index + 1..regular,
        };
        chains.push(Chain {
            name: regular_name(index),
            base: None,
            rules: rules(&mut random, known, &place),
        });
    }
    Draft {
        sets,
        field_sets,
        chains,
    }
}

/// Base chains that are not of type `filter`.
fn others(random: &mut Random, known: Known<'_>, regular: usize) -> Vec<Chain> {
    let places = [
        (ChainType::Nat, Hook::Prerouting, -101),
        (ChainType::Nat, Hook::Input, 99),
        (ChainType::Nat, Hook::Output, -101),
        (ChainType::Nat, Hook::Postrouting, 101),
        (ChainType::Route, Hook::Output, -151),
    ];
    let mut chains = Vec::new();
    for (chain_type, hook, priority) in places {
        if random.one_in(3) {
            let base = Base {
                chain_type,
                hook,
                priority,
                policy: ChainPolicy::Accept,
            };
            let place = Place::of(base, 0..regular);
            chains.push(Chain {
                name: format!("{}_{}", chain_type.keyword(), hook.keyword()),
                base: Some(base),
                rules: rules(random, known, &place),
            });
        }
    }
    chains
}

/// The sets that rules may name.
#[derive(Clone, Copy)]
struct Known<'a> {
    sets: &'a [Set],
    field_sets: &'a [FieldSet],
}

/// What the rules of a chain may ask and where they may lead.
struct Place {
    hook: Option<Hook>,
    tracked: bool,
    translates: bool,
    priority: i32,
    targets: std::ops::Range<usize>,
}

impl Place {
    fn of(base: Base, targets: std::ops::Range<usize>) -> Self {
        Self {
            hook: Some(base.hook),
            tracked: base.priority > -200,
            translates: base.chain_type == ChainType::Nat,
            priority: base.priority,
            targets,
        }
    }

    fn is_inbound(&self) -> bool {
        matches!(
            self.hook,
            Some(Hook::Prerouting | Hook::Input | Hook::Forward)
        )
    }

    fn is_outbound(&self) -> bool {
        matches!(
            self.hook,
            Some(Hook::Forward | Hook::Output | Hook::Postrouting)
        )
    }

    /// Whether conntrack has yet to look at the packets.
    fn is_raw(&self) -> bool {
        matches!(self.hook, Some(Hook::Prerouting | Hook::Output)) && self.priority <= -200
    }
}

fn regular_name(index: usize) -> String {
    format!("regular_{index}")
}

fn priorities(random: &mut Random) -> Vec<i32> {
    let mut priorities = vec![random.pick(&[0, -5, -150, -300, 100, 400, -400])];
    if random.one_in(3) {
        priorities.push(random.pick(&[10, -10, 225]));
    }
    priorities
}

fn sets(random: &mut Random) -> Vec<Set> {
    (0..random.up_to(4))
        .map(|index| {
            let family = random.pick(&Family::BOTH);
            let elements = (0..random.up_to(12)).map(|_| element(random, family));
            Set {
                name: format!("set_{index}"),
                family,
                expression: vec![SetNode::Elements(elements.collect())],
            }
        })
        .collect()
}

fn rules(random: &mut Random, known: Known<'_>, place: &Place) -> Vec<Rule> {
    (0..random.up_to(5))
        .map(|index| rule(random, index, known, place))
        .collect()
}

fn rule(random: &mut Random, index: usize, known: Known<'_>, place: &Place) -> Rule {
    let family = random.pick(&[None, Some(Family::Ip), Some(Family::Ip6)]);
    let transport = random.pick(&[Layer::Any, Layer::Tcp, Layer::Udp, Layer::Icmp]);
    let mut matches = Vec::new();
    interfaces(random, place, &mut matches);
    network(random, family, known.sets, &mut matches);
    // A protocol's messages belong to one family; without one, `icmp` chooses IPv6.
    let before = matches.len();
    transport.matches(random, family.unwrap_or(Family::Ip6), family, &mut matches);
    let about = About {
        place,
        family,
        transport,
        names_protocol: matches.len() > before,
    };
    asks::asks(random, about, known.field_sets, &mut matches);
    if place.tracked && random.one_in(3) {
        let states = random.some_of(&CtState::ALL);
        // Without a state that is left out, the opposite would match nothing.
        let negated = states.len() < CtState::ALL.len() && random.one_in(3);
        matches.push(Match {
            negated,
            test: Test::CtState(states),
        });
    }
    Rule {
        label: format!(
            "rule {index} ({})",
            random.pick(&["web", "it's", "a/b: c", "100% <=> !?"])
        ),
        statements: does::statements(random, about, known.field_sets),
        matches,
    }
}

fn interfaces(random: &mut Random, place: &Place, matches: &mut Vec<Match>) {
    let mut push = |random: &mut Random, test: fn(Vec<String>) -> Test| {
        if random.one_in(4) {
            let chosen = random.some_of(&INTERFACES);
            let chosen = chosen.into_iter().map(str::to_owned).collect();
            matches.push(any(random, test(chosen)));
        }
    };
    if place.is_inbound() {
        push(random, Test::Iifname);
    }
    if place.is_outbound() {
        push(random, Test::Oifname);
    }
}

fn network(random: &mut Random, family: Option<Family>, sets: &[Set], matches: &mut Vec<Match>) {
    let Some(family) = family else {
        return;
    };
    if random.one_in(3) {
        matches.push(just(Test::Nfproto(family)));
    }
    if random.one_in(2) {
        let test = Test::Saddr(family, addresses(random, family, sets));
        matches.push(any(random, test));
    }
    if random.one_in(3) {
        let test = Test::Daddr(family, addresses(random, family, sets));
        matches.push(any(random, test));
    }
    if random.one_in(5) {
        let test = Test::HopLimit(family, bytes(random));
        matches.push(any(random, test));
    }
}

/// What a rule says of the transport protocol.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Layer {
    Any,
    Tcp,
    Udp,
    Icmp,
}

impl Layer {
    fn matches(
        self,
        random: &mut Random,
        icmp_of: Family,
        family: Option<Family>,
        matches: &mut Vec<Match>,
    ) {
        match self {
            Self::Any => {
                if random.one_in(2) {
                    let test = Test::L4proto(bytes(random));
                    matches.push(any(random, test));
                }
                if family.is_none() && random.one_in(4) {
                    let test = Test::Nfproto(random.pick(&Family::BOTH));
                    matches.push(any(random, test));
                }
            }
            Self::Tcp => ports(random, PortProtocol::Tcp, matches),
            Self::Udp => ports(random, PortProtocol::Udp, matches),
            Self::Icmp => {
                let test = Test::IcmpType(icmp_of, bytes(random));
                matches.push(any(random, test));
            }
        }
    }
}

fn ports(random: &mut Random, protocol: PortProtocol, matches: &mut Vec<Match>) {
    // Said although it follows from the ports, or instead of them.
    let silent = random.one_in(3);
    if silent || random.one_in(4) {
        let number = protocol.number();
        matches.push(just(Test::L4proto(vec![number..=number])));
    }
    if !silent {
        let test = Test::Dport(
            protocol,
            numbers(random, &[22, 53, 80, 443, 1023, 8080, 65535]),
        );
        matches.push(any(random, test));
        if random.one_in(3) {
            let test = Test::Sport(protocol, numbers(random, &[1, 67, 68, 1024, 32768, 65534]));
            matches.push(any(random, test));
        }
    }
}

fn addresses(random: &mut Random, family: Family, sets: &[Set]) -> AddressOperand {
    let fitting: Vec<_> = sets.iter().filter(|set| set.family == family).collect();
    if !fitting.is_empty() && random.one_in(2) {
        return AddressOperand::Set(random.pick(&fitting).name.clone());
    }
    let elements = (0..=random.up_to(4)).map(|_| element(random, family));
    AddressOperand::Elements(elements.collect())
}

fn element(random: &mut Random, family: Family) -> Element {
    let any = |random: &mut Random| -> IpAddr {
        let bits = u128::from(random.next()) << 64 | u128::from(random.next());
        // Half of them near each other, so that elements meet and merge.
        let near = if random.one_in(2) { u128::MAX } else { 0xff };
        family.address(bits & near & family.max())
    };
    let (one, other) = (any(random), any(random));
    match random.up_to(3) {
        0 => Element::Range {
            first: one.min(other),
            last: one.max(other),
        },
        1 => Element::Range {
            first: one,
            last: one,
        },
        _ => {
            // No half of all addresses: the opposite of two of them would match nothing.
            let shorter = usize::from(family.bits()) - 7;
            let length = 8 + u8::try_from(random.up_to(shorter)).unwrap_or_default();
            Prefix::around(one, length).into()
        }
    }
}

fn bytes(random: &mut Random) -> Vec<RangeInclusive<u8>> {
    numbers(
        random,
        &[
            1, 2, 3, 4, 5, 6, 8, 17, 50, 58, 64, 128, 133, 137, 143, 254, 255,
        ],
    )
}

/// One to three ranges between the given numbers, never all of the field.
fn numbers<T: Copy + Ord>(random: &mut Random, of: &[T]) -> Vec<RangeInclusive<T>> {
    (0..=random.up_to(3))
        .map(|_| {
            let one = random.pick(of);
            let other = if random.one_in(2) {
                one
            } else {
                random.pick(of)
            };
            one.min(other)..=one.max(other)
        })
        .collect()
}

fn just(test: Test) -> Match {
    Match {
        negated: false,
        test,
    }
}

/// The test or its opposite.
fn any(random: &mut Random, test: Test) -> Match {
    Match {
        negated: random.one_in(3),
        test,
    }
}
