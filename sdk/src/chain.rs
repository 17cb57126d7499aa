//! Chains, and how a list of them becomes a draft: rules about addresses become one rule for
//! each family, and the sets they need are added.

use portreeve_model::address::Family;
use portreeve_model::draft::{
    self, AddressOperand, Base, ChainType, Draft, FieldSet, Match, Set, Test,
};
use portreeve_model::limits::NAME_BYTES_MAX;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;

use crate::address::{Addresses, Expression, family_of};
use crate::rule::{AddressMatch, Conditions, End, Rule};

/// Written out in the rule up to here; longer lists become sets.
const INLINE_ELEMENTS_MAX: usize = 16;

/// A chain. A base chain has a chain policy from the start, so none is forgotten.
///
/// ```
/// use portreeve_sdk::{Chain, ChainPolicy, draft, rule};
///
/// let input = Chain::input(ChainPolicy::Drop)
///     .rule(rule("ssh").tcp_dport(22).accept())
///     .rule(rule("from the LAN").iifname("lan0").jump("lan"));
/// let lan = Chain::regular("lan").rule(rule("dns").udp_dport(53).accept());
/// let draft = draft([input, lan]);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Chain {
    name: String,
    base: Option<Base>,
    rules: Vec<Rule>,
}

impl Chain {
    /// The base chain `input`: what is addressed to this machine.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy};
    /// Chain::input(ChainPolicy::Drop);
    /// ```
    pub fn input(policy: ChainPolicy) -> Self {
        Self::base(Hook::Input, 0, policy)
    }

    /// The base chain `forward`: what passes through this machine.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy};
    /// Chain::forward(ChainPolicy::Drop);
    /// ```
    pub fn forward(policy: ChainPolicy) -> Self {
        Self::base(Hook::Forward, 0, policy)
    }

    /// The base chain `output`: what this machine sends.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy};
    /// Chain::output(ChainPolicy::Accept);
    /// ```
    pub fn output(policy: ChainPolicy) -> Self {
        Self::base(Hook::Output, 0, policy)
    }

    /// A base chain named after its hook, at any priority.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy, Hook};
    /// Chain::base(Hook::Prerouting, -100, ChainPolicy::Accept);
    /// ```
    pub fn base(hook: Hook, priority: i32, policy: ChainPolicy) -> Self {
        let base = Base {
            chain_type: ChainType::Filter,
            hook,
            priority,
            policy,
        };
        Self {
            name: hook.keyword().to_owned(),
            base: Some(base),
            rules: Vec::new(),
        }
    }

    /// A base chain of type `nat` at the usual priority, called `nat_` and its hook: -100 for
    /// another destination, 100 for another source. It lets everything pass that no rule
    /// translates.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, Hook, rule};
    /// Chain::nat(Hook::Postrouting).rule(rule("out").oifname("wan0").masquerade());
    /// ```
    pub fn nat(hook: Hook) -> Self {
        let priority = match hook {
            Hook::Prerouting | Hook::Output => -100,
            Hook::Input | Hook::Forward | Hook::Postrouting => 100,
        };
        Self::of_type(ChainType::Nat, hook, priority)
    }

    /// The base chain of type `route`: what this machine sends, before it is known where to. A
    /// packet that a rule marks is routed again.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, rule};
    /// Chain::route().rule(rule("vpn").meta_skuid(1000).meta_mark_set(1).continue_());
    /// ```
    pub fn route() -> Self {
        Self::of_type(ChainType::Route, Hook::Output, -150)
    }

    fn of_type(chain_type: ChainType, hook: Hook, priority: i32) -> Self {
        let policy = ChainPolicy::Accept;
        let base = Base {
            chain_type,
            hook,
            priority,
            policy,
        };
        Self {
            name: format!("{}_{}", chain_type.keyword(), hook.keyword()),
            base: Some(base),
            rules: Vec::new(),
        }
    }

    /// A regular chain, which rules jump to.
    ///
    /// ```
    /// # use portreeve_sdk::Chain;
    /// Chain::regular("lan");
    /// ```
    pub fn regular(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            base: None,
            rules: Vec::new(),
        }
    }

    /// The same chain under another name.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy};
    /// Chain::input(ChainPolicy::Drop).named("from_outside");
    /// ```
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// With one more rule, after the others.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy, rule};
    /// Chain::input(ChainPolicy::Drop).rule(rule("ssh").tcp_dport(22).accept());
    /// ```
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// With more rules, after the others. An `Option` is a list too.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy, Icmp, rule};
    /// let echo = true;
    /// let ping = echo.then(|| rule("ping").icmp_type(Icmp::ECHO_REQUEST).accept());
    /// Chain::input(ChainPolicy::Drop).rules(ping);
    /// ```
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }
}

/// The draft that these chains make, with every set that their rules name.
///
/// ```
/// use portreeve_sdk::{Chain, ChainPolicy, draft, feed, rule};
///
/// let https = rule("https").saddr(feed("cdn")).tcp_dport(443).accept();
/// let draft = draft([Chain::input(ChainPolicy::Drop).rule(https)]);
/// let names: Vec<_> = draft.sets.iter().map(|set| set.name.as_str()).collect();
/// assert_eq!(names, ["cdn_v4", "cdn_v6"]);
/// ```
#[must_use]
pub fn draft(chains: impl IntoIterator<Item = Chain>) -> Draft {
    let mut sets = Sets::default();
    let mut field_sets: Vec<FieldSet> = Vec::new();
    let chains = chains
        .into_iter()
        .map(|chain| draft::Chain {
            rules: chain
                .rules
                .iter()
                .inspect(|rule| {
                    // Two different sets of one name are left for validation to find.
                    let new = rule.field_sets().filter(|set| !field_sets.contains(set));
                    field_sets.extend(new.cloned().collect::<Vec<_>>());
                })
                .flat_map(|rule| for_each_family(rule, &mut sets))
                .collect(),
            name: chain.name,
            base: chain.base,
        })
        .collect();
    Draft {
        sets: sets.drafted,
        field_sets,
        chains,
    }
}

/// The rule as it is, or once for each family that its addresses can have.
fn for_each_family(rule: &Rule, sets: &mut Sets) -> Vec<draft::Rule> {
    let drafted = |matches| draft::Rule {
        label: rule.label.clone(),
        matches,
        statements: rule.statements.clone(),
    };
    if rule.conditions.addresses.is_empty() {
        return vec![drafted(rule.conditions.matches.clone())];
    }
    Family::BOTH
        .into_iter()
        .filter_map(|family| of_family(&rule.conditions, family, &rule.label, sets))
        .map(drafted)
        .collect()
}

/// The conditions on a packet of `family`; none when no such packet can meet them.
fn of_family(
    conditions: &Conditions,
    family: Family,
    label: &str,
    sets: &mut Sets,
) -> Option<Vec<Match>> {
    let mut matches = conditions.matches.clone();
    if matches.iter().any(|m| other_family_only(m, family)) {
        return None;
    }
    let reachable = |a: &AddressMatch| a.negated || a.addresses.expression.may_hold(family);
    if !conditions.addresses.iter().all(reachable) {
        return None;
    }
    for condition in &conditions.addresses {
        let AddressMatch {
            end,
            negated,
            addresses,
        } = condition;
        let negated = *negated;
        let test = if addresses.expression.may_hold(family) {
            let operand = sets.operand(addresses, family, label);
            match end {
                End::Saddr => Test::Saddr(family, operand),
                End::Daddr => Test::Daddr(family, operand),
            }
        } else {
            // Not one of no addresses: every packet of the family.
            matches.push(Match {
                negated: false,
                test: Test::Nfproto(family),
            });
            continue;
        };
        matches.push(Match { negated, test });
    }
    Some(matches)
}

/// Whether the match keeps every packet of `family` out because of its family.
fn other_family_only(condition: &Match, family: Family) -> bool {
    match condition.test {
        Test::Nfproto(named) => (named == family) == condition.negated,
        Test::HopLimit(needed, _) | Test::IcmpType(needed, _) => needed != family,
        Test::Iifname(_)
        | Test::Oifname(_)
        | Test::Saddr(..)
        | Test::Daddr(..)
        | Test::L4proto(_)
        | Test::Sport(..)
        | Test::Dport(..)
        | Test::CtState(_)
        | Test::Bits { .. }
        | Test::FieldSet(_) => false,
        Test::Number(field, _) => field
            .field()
            .family()
            .is_some_and(|needed| needed != family),
        Test::Concatenation { ref fields, .. } => {
            let mut needed = fields.iter().filter_map(|field| field.field().family());
            needed.any(|needed| needed != family)
        }
    }
}

/// The sets drafted so far, each expression once.
#[derive(Default)]
struct Sets {
    /// Each expression with what its sets are called, less `_v4` and `_v6`.
    known: Vec<(Addresses, String)>,
    drafted: Vec<Set>,
}

impl Sets {
    fn operand(&mut self, addresses: &Addresses, family: Family, label: &str) -> AddressOperand {
        if let Expression::Elements(elements) = &addresses.expression
            && addresses.name.is_none()
        {
            let mine = elements.iter().filter(|e| family_of(e) == family).copied();
            let mine: Vec<_> = mine.collect();
            if mine.len() <= INLINE_ELEMENTS_MAX {
                return AddressOperand::Elements(mine);
            }
        }
        let version = match family {
            Family::Ip => "v4",
            Family::Ip6 => "v6",
        };
        let name = format!("{}_{version}", self.stem(addresses, label));
        if self.drafted.iter().all(|set| set.name != name) {
            self.drafted.push(Set {
                name: name.clone(),
                family,
                expression: addresses.expression.nodes(),
            });
        }
        AddressOperand::Set(name)
    }

    /// What the sets of this expression are called, less the family.
    fn stem(&mut self, addresses: &Addresses, label: &str) -> String {
        if let Some((_, stem)) = self.known.iter().find(|(known, _)| known == addresses) {
            return stem.clone();
        }
        let wanted = match (&addresses.name, &addresses.expression) {
            (Some(name), _) | (None, Expression::Feed(name)) => stem_of(name),
            (None, _) => stem_of(label),
        };
        let taken = |stem: &str| self.known.iter().any(|(_, known)| known == stem);
        let stem = (1..)
            .map(|n| {
                if n == 1 {
                    wanted.clone()
                } else {
                    format!("{wanted}_{n}")
                }
            })
            .find(|stem| !taken(stem))
            .expect("there are more numbers than sets");
        self.known.push((addresses.clone(), stem.clone()));
        stem
    }
}

/// Bytes that `_v4`, and a number before it, may add to a stem.
const SUFFIX_BYTES_MAX: usize = 8;

/// The text as the beginning of a set's name: letters, digits and `_`, a letter first.
fn stem_of(text: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let stem: String = text.chars().map(word).collect();
    let start = if stem.starts_with(|c: char| c.is_ascii_alphabetic()) {
        ""
    } else {
        "set_"
    };
    let mut stem = format!("{start}{stem}");
    stem.truncate(NAME_BYTES_MAX - SUFFIX_BYTES_MAX);
    stem
}

#[cfg(test)]
mod tests {
    use portreeve_model::ruleset::text::Elements;
    use portreeve_model::validate::{Feeds, validate};

    use super::*;
    use crate::{Icmpv6, feed, prefixes, rule};

    /// The rules, and the sets before them, in nft's words.
    #[track_caller]
    fn check(rule: Rule, expected: &[&str]) {
        let draft = draft([Chain::input(ChainPolicy::Drop).rule(rule)]);
        let cdn = ["192.0.2.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let feeds: Feeds = [("cdn".to_owned(), cdn.into_iter().collect())]
            .into_iter()
            .collect();
        let text = validate(&draft, &feeds).unwrap().to_nft("t", Elements::All);
        let shown = |line: &&str| line.starts_with("\t\t") && !line.contains(" hook ");
        let found: Vec<_> = text.lines().filter(shown).map(str::trim).collect();
        let found: Vec<_> = found
            .into_iter()
            .filter(|line| !line.starts_with("type ") && !line.starts_with("flags "))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn addresses_of_one_family_do_not_open_the_other() {
        check(
            rule("a")
                .saddr(prefixes(["192.0.2.0/24"]))
                .tcp_dport(22)
                .accept(),
            &["ip saddr 192.0.2.0/24 tcp dport 22 accept comment \"a\""],
        );
        check(
            rule("a")
                .saddr(feed("cdn"))
                .icmpv6_type(Icmpv6::ECHO_REQUEST)
                .accept(),
            &[
                "elements = { 2001:db8::/32 }",
                "ip6 saddr @cdn_v6 icmpv6 type echo-request accept comment \"a\"",
            ],
        );
        check(rule("a").saddr(prefixes([])).accept(), &[]);
    }

    #[test]
    fn everybody_else_is_in_both_families() {
        check(
            rule("a").saddr(!prefixes(["192.0.2.0/24"])).drop(),
            &[
                "ip saddr != 192.0.2.0/24 drop comment \"a\"",
                "meta nfproto ipv6 drop comment \"a\"",
            ],
        );
    }

    #[test]
    fn an_expression_means_what_it_says() {
        let clients = (feed("cdn") | prefixes(["198.51.100.7"])) - prefixes(["192.0.2.128/25"]);
        check(
            rule("my clients")
                .saddr(clients & prefixes(["0.0.0.0/0"]))
                .accept(),
            &[
                "elements = { 192.0.2.0/25,",
                "198.51.100.7 }",
                "ip saddr @my_clients_v4 accept comment \"my clients\"",
            ],
        );
    }

    #[test]
    fn different_addresses_never_share_a_set() {
        let one = rule("a").saddr(feed("cdn").named("x")).accept();
        let two = rule("b")
            .saddr((feed("cdn") | feed("cdn")).named("x"))
            .accept();
        let draft = draft([Chain::input(ChainPolicy::Drop)
            .rule(one.clone())
            .rule(two)
            .rule(one)]);
        let names: Vec<_> = draft.sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(names, ["x_v4", "x_v6", "x_2_v4", "x_2_v6"]);
    }

    #[test]
    fn any_feed_makes_a_name_that_nft_takes() {
        assert_eq!(stem_of("cdn-peers"), "cdn_peers");
        assert_eq!(stem_of("4g"), "set_4g");
        assert_eq!(stem_of(&"x".repeat(40)).len(), 23);
    }
}
