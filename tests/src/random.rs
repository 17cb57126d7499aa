//! Random drafts that are valid, from a seed: the same seed gives the same draft everywhere.
//!
//! Every construct of the model occurs. A draft is valid by the way it is made, so a test that
//! takes a thousand of them spends no time on refused ones, and a refused one is a bug.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use portreeve_model::address::{Family, Prefix};
use portreeve_model::draft::{
    AddressOperand, Base, Chain, Draft, Element, Match, Rule, Set, SetNode, Statement, Test,
};
use portreeve_model::field::PortProtocol;
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{ChainPolicy, Limit, LogLevel, Reject, Ruleset, TimeUnit};
use portreeve_model::validate::{Feeds, validate};

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
    let regular = random.up_to(3);
    let mut chains = Vec::new();
    for (index, hook) in Hook::ALL.into_iter().enumerate() {
        // Input is always there, so that every draft has a base chain.
        if hook != Hook::Input && random.one_in(2) {
            continue;
        }
        for (nth, priority) in priorities(&mut random).into_iter().enumerate() {
            let base = Base {
                hook,
                priority,
                policy: random.pick(&[ChainPolicy::Accept, ChainPolicy::Drop]),
            };
            let place = Place {
                hook: Some(hook),
                tracked: priority > -200,
                targets: 0..regular,
            };
            chains.push(Chain {
                name: format!("{}_{nth}", ["pre", "in", "fwd", "out", "post"][index]),
                base: Some(base),
                rules: rules(&mut random, &sets, &place),
            });
        }
    }
    for index in 0..regular {
        // Any hook may lead here, so a rule asks only what all of them know; and a chain leads
        // to later ones only, so jumps end.
        let place = Place {
            hook: None,
            tracked: false,
            targets: index + 1..regular,
        };
        chains.push(Chain {
            name: regular_name(index),
            base: None,
            rules: rules(&mut random, &sets, &place),
        });
    }
    Draft { sets, chains }
}

/// What the rules of a chain may ask and where they may lead.
struct Place {
    hook: Option<Hook>,
    tracked: bool,
    targets: std::ops::Range<usize>,
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

fn rules(random: &mut Random, sets: &[Set], place: &Place) -> Vec<Rule> {
    (0..random.up_to(5))
        .map(|index| rule(random, index, sets, place))
        .collect()
}

fn rule(random: &mut Random, index: usize, sets: &[Set], place: &Place) -> Rule {
    let family = random.pick(&[None, Some(Family::Ip), Some(Family::Ip6)]);
    let transport = random.pick(&[Layer::Any, Layer::Tcp, Layer::Udp, Layer::Icmp]);
    let mut matches = Vec::new();
    interfaces(random, place, &mut matches);
    network(random, family, sets, &mut matches);
    // A protocol's messages belong to one family; without one, `icmp` chooses IPv6.
    transport.matches(random, family.unwrap_or(Family::Ip6), family, &mut matches);
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
        statements: statements(random, transport, place),
        matches,
    }
}

fn interfaces(random: &mut Random, place: &Place, matches: &mut Vec<Match>) {
    let names = [
        "lo",
        "eth0",
        "br-0a1b2c3d4e5f",
        "wg0.12",
        "802",
        "all",
        "a:b",
        "-",
    ];
    let inbound = [Hook::Prerouting, Hook::Input, Hook::Forward];
    let outbound = [Hook::Forward, Hook::Output, Hook::Postrouting];
    let Some(hook) = place.hook else {
        return;
    };
    let mut push = |random: &mut Random, test: fn(Vec<String>) -> Test| {
        if random.one_in(4) {
            let chosen = random.some_of(&names);
            let chosen = chosen.into_iter().map(str::to_owned).collect();
            matches.push(any(random, test(chosen)));
        }
    };
    if inbound.contains(&hook) {
        push(random, Test::Iifname);
    }
    if outbound.contains(&hook) {
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

fn statements(random: &mut Random, transport: Layer, place: &Place) -> Vec<Statement> {
    let mut statements = Vec::new();
    if random.one_in(3) {
        statements.push(Statement::Limit(limit(random)));
    }
    if random.one_in(3) {
        statements.push(Statement::Counter);
    }
    if random.one_in(4) {
        let prefix = random.pick(&[None, Some("drop: "), Some("portreeve/in=")]);
        statements.push(Statement::Log {
            prefix: prefix.map(str::to_owned),
            level: random.pick(&LogLevel::ALL),
        });
    }
    let last = random.up_to(8);
    let target = |random: &mut Random| {
        let targets: Vec<usize> = place.targets.clone().collect();
        (!targets.is_empty()).then(|| regular_name(random.pick(&targets)))
    };
    let rejects = matches!(place.hook, Some(Hook::Input | Hook::Forward | Hook::Output));
    match last {
        0 => statements.push(Statement::Accept),
        1 => statements.push(Statement::Drop),
        2 => statements.push(Statement::Return),
        3 => statements.push(Statement::Continue),
        4 => statements.extend(target(random).map(Statement::Jump)),
        5 => statements.extend(target(random).map(Statement::Goto)),
        6 if rejects => {
            let reject = random.pick(&Reject::ALL);
            let reset = reject == Reject::TcpReset && transport != Layer::Tcp;
            let reject = if reset { Reject::NoRoute } else { reject };
            statements.push(Statement::Reject(reject));
        }
        _ => {}
    }
    if statements.is_empty() {
        statements.push(Statement::Counter);
    }
    statements
}

fn limit(random: &mut Random) -> Limit {
    Limit {
        rate: random.pick(&[1, 5, 10, 1_000, 1_000_000]),
        per: random.pick(&TimeUnit::ALL),
        // What a rate of one a week still allows: the kernel counts in nanoseconds.
        burst: random.pick(&[1, 5, 7, 100, 30_500]),
        over: random.one_in(3),
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

/// A small generator of random numbers (`SplitMix64`, Steele and others, 2014), so that a seed
/// means the same in ten years.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// When there is none, because `end` is 0.
    pub fn up_to(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.up_to(times) == 0
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.up_to(of.len())].clone()
    }

    /// At least one of these, each at most once, in any order.
    pub fn some_of<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut left = of.to_vec();
        (0..=self.up_to(of.len()))
            .map(|_| left.swap_remove(self.up_to(left.len())))
            .collect()
    }
}
