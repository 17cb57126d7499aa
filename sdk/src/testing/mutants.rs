//! Mutants: drafts that are wrong by one step.

use std::ops::RangeInclusive;

use portreeve_model::address::{Family, address_bits};
use portreeve_model::draft::{
    AddressOperand, Draft, Element, Match, Rule, SetNode, Statement, Test,
};
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};

/// A draft that is wrong by one step.
///
/// ```
/// use portreeve_model::validate::Feeds;
/// use portreeve_sdk::testing::mutants;
/// use portreeve_sdk::{Chain, ChainPolicy, draft, rule};
///
/// let ssh = rule("ssh").tcp_dport(22).accept();
/// let draft = draft([Chain::input(ChainPolicy::Drop).rule(ssh)]);
/// let names: Vec<_> = mutants(&draft, &Feeds::default()).into_iter().map(|m| m.name).collect();
/// assert!(names.contains(&"rule `ssh` in chain `input`: removed".to_owned()));
/// assert!(names.contains(&"chain `input`: chain policy accept".to_owned()));
/// ```
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What is wrong, without the values of settings: the same for all inputs of a policy.
    pub name: String,
    /// The draft.
    pub draft: Draft,
}

/// Every draft that is wrong by one step: a rule, a match, a value or a statement removed, a
/// range or a set wider or narrower by one, a match negated, a verdict or a chain policy turned
/// round, two neighbouring rules swapped.
///
/// ```
/// use portreeve_model::validate::Feeds;
/// use portreeve_sdk::testing::mutants;
/// use portreeve_sdk::{Chain, ChainPolicy, draft};
///
/// let draft = draft([Chain::input(ChainPolicy::Drop)]);
/// assert_eq!(mutants(&draft, &Feeds::default()).len(), 1);
/// ```
#[must_use]
pub fn mutants(draft: &Draft, feeds: &Feeds) -> Vec<Mutant> {
    let mut all = Mutants {
        draft,
        found: Vec::new(),
    };
    all.chains();
    if let Ok(ruleset) = validate(draft, feeds) {
        all.sets(&ruleset);
    }
    all.found
}

struct Mutants<'a> {
    draft: &'a Draft,
    found: Vec<Mutant>,
}

impl Mutants<'_> {
    fn add(&mut self, name: String, change: impl FnOnce(&mut Draft)) {
        let mut draft = self.draft.clone();
        change(&mut draft);
        self.found.push(Mutant { name, draft });
    }

    fn chains(&mut self) {
        for (at, chain) in self.draft.chains.iter().enumerate() {
            if let Some(base) = chain.base {
                let policy = match base.policy {
                    ChainPolicy::Accept => ChainPolicy::Drop,
                    ChainPolicy::Drop => ChainPolicy::Accept,
                };
                let name = format!("chain `{}`: chain policy {}", chain.name, policy.keyword());
                self.add(name, |draft| {
                    let base = draft.chains[at].base.as_mut();
                    base.expect("it is a base chain").policy = policy;
                });
            }
            for (place, rule) in chain.rules.iter().enumerate() {
                let name = format!("{} in chain `{}`", subject(rule), chain.name);
                self.add(format!("{name}: removed"), |draft| {
                    draft.chains[at].rules.remove(place);
                });
                for (change, changed) in rule_mutants(rule) {
                    self.add(format!("{name}: {change}"), |draft| {
                        draft.chains[at].rules[place] = changed;
                    });
                }
            }
            self.swaps(at);
        }
    }

    /// Neighbours that decide differently, the other way round.
    fn swaps(&mut self, at: usize) {
        let chain = &self.draft.chains[at];
        for (place, pair) in chain.rules.windows(2).enumerate() {
            if pair[0].statements.last() == pair[1].statements.last() {
                continue;
            }
            let (first, second) = (subject(&pair[0]), subject(&pair[1]));
            let name = format!("{first} and {second} in chain `{}`: swapped", chain.name);
            self.add(name, |draft| draft.chains[at].rules.swap(place, place + 1));
        }
    }

    /// Each set, wider or narrower by one address at each end of each of its intervals.
    fn sets(&mut self, ruleset: &Ruleset) {
        for (at, set) in self.draft.sets.iter().enumerate() {
            let valid = ruleset
                .sets()
                .iter()
                .find(|valid| valid.name().as_str() == set.name);
            let elements = valid
                .map(|valid| valid.elements().clone())
                .unwrap_or_default();
            for interval in &elements {
                let (first, last) = (interval.first(), interval.last());
                let below = first.checked_sub(1);
                let above = last.checked_add(1).filter(|next| *next <= set.family.max());
                let steps = [
                    ("wider at its first address", below, true),
                    ("wider at its last address", above, true),
                    ("without its first address", Some(first), false),
                    ("without its last address", Some(last), false),
                ];
                for (step, address, wider) in steps {
                    let Some(address) = address else { continue };
                    let name = format!("set `{}`: an interval {step}", set.name);
                    let family = set.family;
                    self.add(name, |draft| {
                        changed_by_one(&mut draft.sets[at].expression, family, address, wider);
                    });
                }
            }
        }
    }
}

/// The same expression with one address more, or one less.
fn changed_by_one(nodes: &mut Vec<SetNode>, family: Family, address: u128, wider: bool) {
    let whole = u32::try_from(nodes.len() - 1).expect("it validated: at most a thousand nodes");
    nodes.push(SetNode::Elements(vec![single(family, address)]));
    nodes.push(if wider {
        SetNode::Union(vec![whole, whole + 1])
    } else {
        SetNode::Difference(whole, whole + 1)
    });
}

fn single(family: Family, address: u128) -> Element {
    Element::Prefix {
        address: family.address(address),
        length: family.bits(),
    }
}

/// ``rule `https` (ip6)``.
fn subject(rule: &Rule) -> String {
    let family = rule.matches.iter().find_map(|m| match m.test {
        Test::Saddr(family, _) | Test::Daddr(family, _) => Some(family),
        _ => None,
    });
    match family {
        Some(family) => format!("rule `{}` ({})", rule.label, family.keyword()),
        None => format!("rule `{}`", rule.label),
    }
}

/// The rule, wrong by one step in each way.
fn rule_mutants(rule: &Rule) -> Vec<(String, Rule)> {
    let mut found = Vec::new();
    let mut add = |name: String, change: &dyn Fn(&mut Rule)| {
        let mut changed = rule.clone();
        change(&mut changed);
        found.push((name, changed));
    };
    for (at, condition) in rule.matches.iter().enumerate() {
        let field = field_name(&condition.test);
        add(format!("without {field}"), &|rule| {
            drop(rule.matches.remove(at))
        });
        add(format!("{field} negated"), &|rule| {
            rule.matches[at].negated = !condition.negated;
        });
        for (change, test) in test_mutants(&condition.test) {
            add(format!("{field} {change}"), &|rule| {
                let (negated, test) = (condition.negated, test.clone());
                rule.matches[at] = Match { negated, test };
            });
        }
    }
    for (at, statement) in rule.statements.iter().enumerate() {
        match statement {
            Statement::Limit(_) => add("without its limit".to_owned(), &|rule| {
                rule.statements.remove(at);
            }),
            Statement::Log { .. } => add("without its log".to_owned(), &|rule| {
                rule.statements.remove(at);
            }),
            Statement::Accept => add("drops".to_owned(), &|rule| {
                rule.statements[at] = Statement::Drop;
            }),
            Statement::Drop => add("accepts".to_owned(), &|rule| {
                rule.statements[at] = Statement::Accept;
            }),
            Statement::Reject(_) => {
                add("accepts".to_owned(), &|rule| {
                    rule.statements[at] = Statement::Accept
                });
                add("drops".to_owned(), &|rule| {
                    rule.statements[at] = Statement::Drop
                });
            }
            // A counter decides nothing; a way to another chain is wrong when it is removed.
            Statement::Counter
            | Statement::Continue
            | Statement::Return
            | Statement::Jump(_)
            | Statement::Goto(_) => {}
        }
    }
    found
}

const fn field_name(test: &Test) -> &'static str {
    match test {
        Test::Iifname(_) => "iifname",
        Test::Oifname(_) => "oifname",
        Test::Nfproto(_) => "meta nfproto",
        Test::Saddr(..) => "saddr",
        Test::Daddr(..) => "daddr",
        Test::HopLimit(..) => "hop limit",
        Test::L4proto(_) => "meta l4proto",
        Test::Sport(..) => "sport",
        Test::Dport(..) => "dport",
        Test::IcmpType(..) => "icmp type",
        Test::CtState(_) => "ct state",
    }
}

/// The test with one value more or less.
fn test_mutants(test: &Test) -> Vec<(String, Test)> {
    let named = |changes: Vec<(String, Vec<RangeInclusive<u8>>)>,
                 make: &dyn Fn(Vec<RangeInclusive<u8>>) -> Test| {
        let made = changes
            .into_iter()
            .map(|(name, ranges)| (name, make(ranges)));
        made.collect::<Vec<_>>()
    };
    match test {
        Test::HopLimit(family, ranges) => named(byte_mutants(ranges), &|ranges| {
            Test::HopLimit(*family, ranges)
        }),
        Test::L4proto(ranges) => named(byte_mutants(ranges), &Test::L4proto),
        Test::IcmpType(family, ranges) => named(byte_mutants(ranges), &|ranges| {
            Test::IcmpType(*family, ranges)
        }),
        Test::Sport(protocol, ranges) => port_mutants(ranges)
            .into_iter()
            .map(|(name, ranges)| (name, Test::Sport(*protocol, ranges)))
            .collect(),
        Test::Dport(protocol, ranges) => port_mutants(ranges)
            .into_iter()
            .map(|(name, ranges)| (name, Test::Dport(*protocol, ranges)))
            .collect(),
        Test::CtState(states) => state_mutants(states),
        Test::Saddr(family, AddressOperand::Elements(elements)) => {
            element_mutants(*family, elements)
                .into_iter()
                .map(|(name, list)| (name, Test::Saddr(*family, AddressOperand::Elements(list))))
                .collect()
        }
        Test::Daddr(family, AddressOperand::Elements(elements)) => {
            element_mutants(*family, elements)
                .into_iter()
                .map(|(name, list)| (name, Test::Daddr(*family, AddressOperand::Elements(list))))
                .collect()
        }
        Test::Saddr(_, AddressOperand::Set(_))
        | Test::Daddr(_, AddressOperand::Set(_))
        | Test::Iifname(_)
        | Test::Oifname(_)
        | Test::Nfproto(_) => Vec::new(),
    }
}

fn state_mutants(states: &[CtState]) -> Vec<(String, Test)> {
    let change = |state: CtState| {
        let mut changed: Vec<_> = states.iter().copied().filter(|s| *s != state).collect();
        if changed.len() == states.len() {
            changed.push(state);
            (format!("with {}", state.keyword()), Test::CtState(changed))
        } else {
            (
                format!("without {}", state.keyword()),
                Test::CtState(changed),
            )
        }
    };
    CtState::ALL.into_iter().map(change).collect()
}

fn byte_mutants(ranges: &[RangeInclusive<u8>]) -> Vec<(String, Vec<RangeInclusive<u8>>)> {
    let wide = ranges
        .iter()
        .map(|r| (u128::from(*r.start()), u128::from(*r.end())));
    let narrow = |(first, last): (u128, u128)| first as u8..=last as u8;
    range_mutants(&wide.collect::<Vec<_>>(), u8::MAX.into())
        .into_iter()
        .map(|(name, ranges)| (name, ranges.into_iter().map(narrow).collect()))
        .collect()
}

fn port_mutants(ranges: &[RangeInclusive<u16>]) -> Vec<(String, Vec<RangeInclusive<u16>>)> {
    let wide = ranges
        .iter()
        .map(|r| (u128::from(*r.start()), u128::from(*r.end())));
    let narrow = |(first, last): (u128, u128)| first as u16..=last as u16;
    range_mutants(&wide.collect::<Vec<_>>(), u16::MAX.into())
        .into_iter()
        .map(|(name, ranges)| (name, ranges.into_iter().map(narrow).collect()))
        .collect()
}

fn element_mutants(family: Family, elements: &[Element]) -> Vec<(String, Vec<Element>)> {
    let ends = |element: &Element| match *element {
        Element::Prefix { address, length } => {
            let host = match family.bits().saturating_sub(length) {
                0 => 0,
                bits => u128::MAX >> (128 - u32::from(bits)),
            };
            (address_bits(address) & !host, address_bits(address) | host)
        }
        Element::Range { first, last } => (address_bits(first), address_bits(last)),
    };
    let element = |(first, last)| Element::Range {
        first: family.address(first),
        last: family.address(last),
    };
    let ranges: Vec<_> = elements.iter().map(ends).collect();
    range_mutants(&ranges, family.max())
        .into_iter()
        .map(|(name, ranges)| (name, ranges.into_iter().map(element).collect()))
        .collect()
}

/// The ranges with one of them wider or narrower by one at one end, or gone.
fn range_mutants(ranges: &[(u128, u128)], max: u128) -> Vec<(String, Vec<(u128, u128)>)> {
    let mut found = Vec::new();
    for (at, &(first, last)) in ranges.iter().enumerate() {
        let mut add = |name: &str, range: Option<(u128, u128)>| {
            let mut changed = ranges.to_vec();
            match range {
                Some(range) => changed[at] = range,
                None => drop(changed.remove(at)),
            }
            found.push((format!("range {} {name}", at + 1), changed));
        };
        if first > 0 {
            add("wider at its first value", Some((first - 1, last)));
        }
        if last < max {
            add("wider at its last value", Some((first, last + 1)));
        }
        if first < last {
            add("without its first value", Some((first + 1, last)));
            add("without its last value", Some((first, last - 1)));
        } else if ranges.len() > 1 {
            add("gone", None);
        }
    }
    found
}
