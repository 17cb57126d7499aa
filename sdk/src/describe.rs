//! What a policy says about itself: its settings, its feeds and its goals.

use std::ops::RangeInclusive;

use portreeve_model::address::Prefix;
use portreeve_model::description::{Constraint, Description, FeedSpec, SettingSpec};
use portreeve_model::draft::{AddressOperand, Element, Match, Test};
use portreeve_model::goal::{Clause, GoalTemplate, Quantifier};
use portreeve_model::inputs::Value;
use portreeve_model::packet::Hook;

use crate::address::{Expression, family_of};
use crate::operand::Ports;
use crate::rule::{AddressMatch, End, Matches, Promise};

/// Begins a description: the policy's name, its version, and what it does in one line.
///
/// ```
/// use portreeve_sdk::describe;
///
/// let description = describe("mail", "1.2.0", "SMTP from anywhere, IMAP from the office.")
///     .prefixes("office", [], 0..=64, "who may read mail")
///     .build();
/// assert_eq!(description.settings[0].name, "office");
/// ```
pub fn describe(name: &str, version: &str, summary: &str) -> Describe {
    Describe(Description {
        name: name.to_owned(),
        version: version.to_owned(),
        summary: summary.to_owned(),
        settings: Vec::new(),
        feeds: Vec::new(),
        needs_interfaces: false,
        needs_listeners: false,
        goals: Vec::new(),
    })
}

/// A description in the making.
///
/// ```
/// use portreeve_sdk::{Describe, describe};
///
/// let begun: Describe = describe("example", "1", "An example.");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Describe(Description);

impl Describe {
    /// A setting that is true or false.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").boolean("echo", true, "answer to ping");
    /// ```
    pub fn boolean(self, name: &str, default: bool, help: &str) -> Self {
        self.setting(name, Value::Boolean(default), Constraint::None, help)
    }

    /// A setting that is a whole number within bounds.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").integer("rate", 10, 1..=1000, "new per second");
    /// ```
    pub fn integer(
        self,
        name: &str,
        default: i64,
        within: RangeInclusive<i64>,
        help: &str,
    ) -> Self {
        let (min, max) = within.into_inner();
        let within = Constraint::Between { min, max };
        self.setting(name, Value::Integer(default), within, help)
    }

    /// A setting that is one port.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").port("ssh-port", 22, "where sshd listens");
    /// ```
    pub fn port(self, name: &str, default: u16, help: &str) -> Self {
        self.setting(name, Value::Port(default), Constraint::None, help)
    }

    /// A setting that is a list of ports, with how many entries it may have.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").ports("ports", 443, 1..=64, "open to the feed");
    /// ```
    pub fn ports(
        self,
        name: &str,
        default: impl Into<Ports>,
        entries: RangeInclusive<u32>,
        help: &str,
    ) -> Self {
        let default = Value::Ports(default.into().values);
        self.setting(name, default, self::entries(entries), help)
    }

    /// A setting that is one of `choices`; the first is the default.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").choice("otherwise", ["drop", "reject"], "the rest");
    /// ```
    ///
    /// # Panics
    /// When there is no choice.
    pub fn choice<const N: usize>(self, name: &str, choices: [&str; N], help: &str) -> Self {
        const { assert!(N > 0, "a choice needs something to choose from") };
        let default = Value::Choice(choices[0].to_owned());
        let choices = choices.map(str::to_owned).to_vec();
        self.setting(name, default, Constraint::OneOf(choices), help)
    }

    /// A setting that is a list of prefixes, with how many entries it may have.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").prefixes("office", [], 0..=64, "who may read");
    /// ```
    pub fn prefixes<const N: usize>(
        self,
        name: &str,
        default: [Prefix; N],
        entries: RangeInclusive<u32>,
        help: &str,
    ) -> Self {
        let default = Value::Prefixes(default.to_vec());
        self.setting(name, default, self::entries(entries), help)
    }

    /// Settings that somebody else has described.
    ///
    /// ```
    /// # use portreeve_sdk::{describe, essentials};
    /// describe("example", "1", "An example.").settings(essentials::settings());
    /// ```
    pub fn settings(mut self, settings: impl IntoIterator<Item = SettingSpec>) -> Self {
        self.0.settings.extend(settings);
        self
    }

    /// A feed. The policy gets its summary; its addresses stay with the host.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").feed("cloudflare", "who may open the ports");
    /// ```
    pub fn feed(self, name: &str, help: &str) -> Self {
        self.any_feed(name, false, help)
    }

    /// A feed whose every prefix the policy must see.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// describe("example", "1", "An example.").feed_with_elements("peers", "one rule for each");
    /// ```
    pub fn feed_with_elements(self, name: &str, help: &str) -> Self {
        self.any_feed(name, true, help)
    }

    /// The policy needs the machine's interfaces.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// assert!(describe("example", "1", "An example.").interfaces().build().needs_interfaces);
    /// ```
    pub fn interfaces(mut self) -> Self {
        self.0.needs_interfaces = true;
        self
    }

    /// The policy needs the sockets that wait for packets.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// assert!(describe("example", "1", "An example.").listeners().build().needs_listeners);
    /// ```
    pub fn listeners(mut self) -> Self {
        self.0.needs_listeners = true;
        self
    }

    /// Something that holds of every rule set the policy drafts.
    ///
    /// ```
    /// # use portreeve_sdk::{describe, goal, packets};
    /// let web = goal("web is open").all_accepted([packets().tcp_dport(443)]);
    /// describe("example", "1", "An example.").goal(web);
    /// ```
    pub fn goal(mut self, goal: GoalTemplate) -> Self {
        self.0.goals.push(goal);
        self
    }

    /// The whole description.
    ///
    /// ```
    /// # use portreeve_sdk::describe;
    /// assert_eq!(describe("example", "1", "An example.").build().version, "1");
    /// ```
    #[must_use]
    pub fn build(self) -> Description {
        self.0
    }

    fn setting(mut self, name: &str, default: Value, constraint: Constraint, help: &str) -> Self {
        self.0.settings.push(SettingSpec {
            name: name.to_owned(),
            default,
            constraint,
            help: help.to_owned(),
        });
        self
    }

    fn any_feed(mut self, name: &str, needs_elements: bool, help: &str) -> Self {
        self.0.feeds.push(FeedSpec {
            name: name.to_owned(),
            needs_elements,
            help: help.to_owned(),
        });
        self
    }
}

fn entries(allowed: RangeInclusive<u32>) -> Constraint {
    let (min, max) = allowed.into_inner();
    Constraint::Entries { min, max }
}

/// Begins a goal, at the hook `input`. `name` promises something in a few words.
///
/// ```
/// use portreeve_sdk::{goal, packets};
///
/// let ssh = packets().tcp_dport_setting("ssh-port");
/// goal("ssh stays reachable").all_accepted([ssh]);
/// ```
pub fn goal(name: &str) -> GoalBuilder {
    GoalBuilder {
        name: name.to_owned(),
        hook: Hook::Input,
    }
}

/// A goal that does not say yet what it is about.
///
/// ```
/// use portreeve_sdk::{GoalBuilder, goal};
///
/// let begun: GoalBuilder = goal("ssh stays reachable");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct GoalBuilder {
    name: String,
    hook: Hook,
}

impl GoalBuilder {
    /// The same goal at another hook.
    ///
    /// ```
    /// # use portreeve_sdk::{Hook, goal, packets};
    /// goal("outbound is free").at(Hook::Output).all_accepted([packets()]);
    /// ```
    pub fn at(mut self, hook: Hook) -> Self {
        self.hook = hook;
        self
    }

    /// Every one of these packets is accepted.
    ///
    /// ```
    /// # use portreeve_sdk::{goal, packets};
    /// goal("web is open").all_accepted([packets().tcp_dport(443)]);
    /// ```
    ///
    /// # Panics
    /// When a source is a combination of feeds: a goal names one feed or writes prefixes out.
    #[must_use]
    pub fn all_accepted(self, of: impl IntoIterator<Item = Matches<Promise>>) -> GoalTemplate {
        self.says(Quantifier::AllAccepted, of)
    }

    /// None of these packets is accepted.
    ///
    /// ```
    /// # use portreeve_sdk::{goal, packets};
    /// goal("no telnet").none_accepted([packets().tcp_dport(23)]);
    /// ```
    ///
    /// # Panics
    /// When a source is a combination of feeds: a goal names one feed or writes prefixes out.
    #[must_use]
    pub fn none_accepted(self, of: impl IntoIterator<Item = Matches<Promise>>) -> GoalTemplate {
        self.says(Quantifier::NoneAccepted, of)
    }

    /// These packets are accepted, and no other packet is.
    ///
    /// ```
    /// # use portreeve_sdk::{goal, packets};
    /// goal("loopback only").exactly_these_accepted([packets().iifname("lo")]);
    /// ```
    ///
    /// # Panics
    /// When a source is a combination of feeds: a goal names one feed or writes prefixes out.
    #[must_use]
    pub fn exactly_these_accepted(
        self,
        of: impl IntoIterator<Item = Matches<Promise>>,
    ) -> GoalTemplate {
        self.says(Quantifier::ExactlyTheseAccepted, of)
    }

    /// Of any two of these packets, one of each family, that agree in everything that both families
    /// have, both are accepted or neither is.
    ///
    /// ```
    /// # use portreeve_sdk::{feed, goal, packets};
    /// let [members, others] = [packets().saddr(feed("cdn")), packets().saddr(!feed("cdn"))];
    /// goal("members fare alike").families_alike([members]);
    /// goal("others fare alike").families_alike([others]);
    /// ```
    ///
    /// # Panics
    /// When a source is a combination of feeds: a goal names one feed or writes prefixes out.
    #[must_use]
    pub fn families_alike(self, of: impl IntoIterator<Item = Matches<Promise>>) -> GoalTemplate {
        self.says(Quantifier::FamiliesAlike, of)
    }

    fn says(
        self,
        quantifier: Quantifier,
        of: impl IntoIterator<Item = Matches<Promise>>,
    ) -> GoalTemplate {
        let Self { name, hook } = self;
        let clauses = of.into_iter().map(clause).collect();
        GoalTemplate {
            name,
            hook,
            quantifier,
            clauses,
        }
    }
}

fn clause(packets: Matches<Promise>) -> Clause {
    let Matches { of, conditions } = packets;
    let mut clause = Clause {
        when: of.when,
        matches: conditions.matches,
        dport_setting: of.dport_setting,
        saddr_from: None,
        saddr_not_from: None,
    };
    for AddressMatch {
        end,
        negated,
        addresses,
    } in conditions.addresses
    {
        match (addresses.expression, end, negated) {
            (Expression::Feed(name), End::Saddr, false) if clause.saddr_from.is_none() => {
                clause.saddr_from = Some(name);
            }
            (Expression::Feed(name), End::Saddr, true) if clause.saddr_not_from.is_none() => {
                clause.saddr_not_from = Some(name);
            }
            (Expression::Elements(elements), end, negated) => {
                let test = written_out(elements, end);
                clause.matches.push(Match { negated, test });
            }
            _ => panic!("a goal names one feed as a source, or writes prefixes out"),
        }
    }
    clause
}

/// Addresses as a match of one family; a goal says its clauses for each family.
fn written_out(elements: Vec<Element>, end: End) -> Test {
    let family = elements.first().map(family_of);
    let family = family.expect("the addresses of a goal are not empty");
    let operand = AddressOperand::Elements(elements);
    match end {
        End::Saddr => Test::Saddr(family, operand),
        End::Daddr => Test::Daddr(family, operand),
    }
}
