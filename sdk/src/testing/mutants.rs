//! Mutants: drafts that are wrong by one step.

mod rule;
mod values;

use portreeve_model::address::Family;
use portreeve_model::draft::{Draft, Element, Rule, SetNode, Test};
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};

use self::rule::rule_mutants;

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
/// range or a set wider or narrower by one, a match negated, a rule kept to one family, a verdict
/// or a chain policy turned round, another kind of `reject`, another number in a `limit`, another
/// line in the log, another way to or from a chain, two neighbouring rules swapped.
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
        let regular = self
            .draft
            .chains
            .iter()
            .filter(|chain| chain.base.is_none());
        let targets: Vec<_> = regular.map(|chain| chain.name.clone()).collect();
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
                for (change, changed) in rule_mutants(rule, &targets) {
                    self.add(format!("{name}: {change}"), |draft| {
                        draft.chains[at].rules[place] = changed;
                    });
                }
            }
            self.swaps(at);
        }
    }

    /// Neighbours that do not do the same, the other way round.
    fn swaps(&mut self, at: usize) {
        let chain = &self.draft.chains[at];
        for (place, pair) in chain.rules.windows(2).enumerate() {
            if pair[0].statements == pair[1].statements {
                continue;
            }
            let (first, second) = (subject(&pair[0]), subject(&pair[1]));
            let name = format!("{first} and {second} in chain `{}`: swapped", chain.name);
            self.add(name, |draft| draft.chains[at].rules.swap(place, place + 1));
        }
    }

    /// Each set, wider or narrower by one address at each end of each of its intervals.
    ///
    /// Intervals that the policy writes out have a name each, so each needs a case. Those of a
    /// feed share one for each end: what is in a feed changes from day to day and is no choice of
    /// the policy, so one of them shows that the set is used.
    fn sets(&mut self, ruleset: &Ruleset) {
        for (at, set) in self.draft.sets.iter().enumerate() {
            let valid = ruleset
                .sets()
                .iter()
                .find(|valid| valid.name().as_str() == set.name);
            let elements = valid
                .map(|valid| valid.elements().clone())
                .unwrap_or_default();
            let of_feed = |node: &SetNode| matches!(node, SetNode::Feed(_));
            let of_feed = set.expression.iter().any(of_feed);
            for (number, interval) in (1..).zip(&elements) {
                let which = if of_feed {
                    "an interval".to_owned()
                } else {
                    format!("interval {number}")
                };
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
                    let name = format!("set `{}`: {which} {step}", set.name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Reject, draft, feed, rule};

    fn names(draft: &Draft) -> Vec<String> {
        let cdn = ["192.0.2.0/24", "198.51.100.0/24"].map(|prefix| prefix.parse().unwrap());
        let feeds = Feeds::from_iter([("cdn".to_owned(), cdn.into_iter().collect())]);
        let found = mutants(draft, &feeds).into_iter();
        found.map(|mutant| mutant.name).collect()
    }

    #[test]
    fn each_interval_that_a_policy_writes_out_needs_a_case() {
        let web = rule("web").saddr(feed("cdn")).tcp_dport(443).accept();
        let mut draft = draft([Chain::input(ChainPolicy::Drop).rule(web)]);
        let (set, step) = (draft.sets[0].name.clone(), "without its last address");
        let found = names(&draft);
        assert!(found.contains(&format!("set `{set}`: an interval {step}")));
        let ends = ["192.0.2.0", "198.51.100.0"].map(|first| Element::Prefix {
            address: first.parse().unwrap(),
            length: 24,
        });
        draft.sets[0].expression = vec![SetNode::Elements(ends.to_vec())];
        let found = names(&draft);
        assert!(found.contains(&format!("set `{set}`: interval 1 {step}")));
        assert!(found.contains(&format!("set `{set}`: interval 2 {step}")));
    }

    #[test]
    fn a_rule_does_all_that_it_says_or_a_mutant_shows() {
        let reset = rule("reset").meta_l4proto(6).reject(Reject::TcpReset);
        let way = rule("way").jump("web");
        let input = Chain::input(ChainPolicy::Drop).rule(reset).rule(way);
        let regular = ["web", "mail"].map(|name| Chain::regular(name).rule(rule("back").return_()));
        let found = names(&draft([input].into_iter().chain(regular)));
        for expected in [
            "rule `reset` in chain `input`: rejects with icmpx type no-route",
            "rule `way` in chain `input`: leads to chain `mail`",
            "rule `way` in chain `input`: goes to",
            "rule `way` in chain `input`: for ip6 only",
            "rule `back` in chain `web`: continues",
            "rule `reset` and rule `way` in chain `input`: swapped",
        ] {
            assert!(
                found.contains(&expected.to_owned()),
                "{expected}: {found:#?}"
            );
        }
    }
}
