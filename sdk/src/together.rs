//! Fields together: concatenations, sets of what fields hold, verdict maps.
//!
//! A set says which fields it is about, so that no rule can look up the wrong ones.

use std::ops::RangeInclusive;

use portreeve_model::address::{Family, Prefix};
use portreeve_model::draft::{
    Contents, FieldSet, Selector, SetOperation, Statement, Test, Values as FieldValues, Verdict,
};
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{Limit, TimeUnit};

use crate::operand::Values;
use crate::rule::{Acting, Matches, Rule, TakesMatches};

/// Values of one field in an element of a set, a map or a concatenation.
///
/// ```
/// use portreeve_sdk::Part;
///
/// let parts = [Part::from(22), Part::from(80..=90), Part::prefix("192.0.2.0/24")];
/// assert_ne!(parts[0], parts[1]);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part(FieldValues);

impl Part {
    /// The addresses of a prefix.
    ///
    /// ```
    /// # use portreeve_sdk::Part;
    /// Part::prefix("192.0.2.0/24");
    /// ```
    ///
    /// # Panics
    /// When the text is not a prefix, or has bits set after its length.
    #[must_use]
    pub fn prefix(text: &str) -> Self {
        match text.parse::<Prefix>() {
            Ok(prefix) => prefix.into(),
            Err(error) => panic!("`{text}` in the policy: {error}"),
        }
    }

    /// An interface by name; a `*` at the end stands for any rest.
    ///
    /// ```
    /// # use portreeve_sdk::Part;
    /// Part::interface("eth*");
    /// ```
    #[must_use]
    pub fn interface(name: &str) -> Self {
        Self(FieldValues::Interface(name.to_owned()))
    }
}

impl From<u16> for Part {
    fn from(number: u16) -> Self {
        Self(FieldValues::Numbers(number..=number))
    }
}

impl From<RangeInclusive<u16>> for Part {
    fn from(numbers: RangeInclusive<u16>) -> Self {
        Self(FieldValues::Numbers(numbers))
    }
}

impl From<Prefix> for Part {
    fn from(prefix: Prefix) -> Self {
        Self(FieldValues::Addresses(prefix.into()))
    }
}

impl From<CtState> for Part {
    fn from(state: CtState) -> Self {
        Self(FieldValues::CtState(state))
    }
}

fn key(parts: impl IntoIterator<Item = Part>) -> Vec<FieldValues> {
    parts.into_iter().map(|Part(values)| values).collect()
}

/// A named set of what these fields hold together, with its elements.
///
/// ```
/// use portreeve_sdk::{Family, Part, PortProtocol, Selector, field_set, rule};
///
/// let fields = [Selector::Saddr(Family::Ip), Selector::Dport(PortProtocol::Tcp)];
/// let admins = field_set("admins", fields, [
///     [Part::prefix("192.0.2.0/24"), Part::from(22)],
///     [Part::prefix("198.51.100.7/32"), Part::from(8000..=8999)],
/// ]);
/// rule("admins").in_set(&admins).accept(); // ip saddr . tcp dport @admins accept
/// ```
#[must_use]
pub fn field_set<const N: usize>(
    name: &str,
    fields: [Selector; N],
    elements: impl IntoIterator<Item = [Part; N]>,
) -> FieldSet {
    FieldSet {
        name: name.to_owned(),
        fields: fields.into(),
        contents: Contents::Elements(elements.into_iter().map(key).collect()),
    }
}

/// A named set that rules write to: an element stays for `timeout` seconds, and `size` of them fit.
///
/// ```
/// use portreeve_sdk::{Family, Selector, dynamic_set, rule};
///
/// let knockers = dynamic_set("knockers", [Selector::Saddr(Family::Ip)], 60, 10_000);
/// rule("knock").tcp_dport(7000).add_to(&knockers).drop();
/// rule("let in").in_set(&knockers).tcp_dport(22).accept();
/// ```
#[must_use]
pub fn dynamic_set<const N: usize>(
    name: &str,
    fields: [Selector; N],
    timeout: u32,
    size: u32,
) -> FieldSet {
    FieldSet {
        name: name.to_owned(),
        fields: fields.into(),
        contents: Contents::Dynamic { timeout, size },
    }
}

/// Two sets that remember sources, `name` followed by `_v4` and `_v6`: for a limit of each source,
/// with one rule for each set.
///
/// ```
/// use portreeve_sdk::{Chain, ChainPolicy, TimeUnit, rule, sources};
///
/// let floods = sources("ssh_sources", 600, 65_535).map(|sources| {
///     rule("too many").tcp_dport(22).limit_rate_over_each(&sources, 6, TimeUnit::Minute, 5).drop()
/// });
/// Chain::input(ChainPolicy::Drop).rules(floods);
/// ```
#[must_use]
pub fn sources(name: &str, timeout: u32, size: u32) -> [FieldSet; 2] {
    [(Family::Ip, "v4"), (Family::Ip6, "v6")].map(|(family, version)| {
        let fields = [Selector::Saddr(family)];
        dynamic_set(&format!("{name}_{version}"), fields, timeout, size)
    })
}

/// Matches on fields together.
impl<Of: TakesMatches> Matches<Of> {
    /// The fields of `set` are one of its elements.
    ///
    /// ```
    /// # use portreeve_sdk::{Family, Selector, dynamic_set, rule};
    /// let seen = dynamic_set("seen", [Selector::Saddr(Family::Ip)], 60, 1_000);
    /// rule("seen").in_set(&seen).accept(); // ip saddr @seen accept
    /// ```
    pub fn in_set(self, set: &FieldSet) -> Self {
        self.lookup(set, false)
    }

    /// The fields of `set` are none of its elements.
    ///
    /// ```
    /// # use portreeve_sdk::{Family, Selector, dynamic_set, rule};
    /// let seen = dynamic_set("seen", [Selector::Saddr(Family::Ip)], 60, 1_000);
    /// rule("never seen").not_in_set(&seen).drop();
    /// ```
    pub fn not_in_set(self, set: &FieldSet) -> Self {
        self.lookup(set, true)
    }

    fn lookup(mut self, set: &FieldSet, negated: bool) -> Self {
        self.conditions.field_sets.push(set.clone());
        let mut values = Values::from(());
        values.negated = negated;
        self.test(values, |_| Test::FieldSet(set.name.clone()))
    }

    /// The fields together are one of the elements: `ip saddr . tcp dport { … }`.
    ///
    /// ```
    /// # use portreeve_sdk::{Family, Part, PortProtocol, Selector, rule};
    /// let fields = [Selector::Saddr(Family::Ip), Selector::Dport(PortProtocol::Tcp)];
    /// rule("admins").fields(fields, [[Part::prefix("192.0.2.0/24"), Part::from(22)]]).accept();
    /// ```
    pub fn fields<const N: usize>(
        self,
        fields: [Selector; N],
        elements: impl IntoIterator<Item = [Part; N]>,
    ) -> Self {
        let elements = elements.into_iter().map(key).collect();
        let fields = fields.into();
        self.test(Values::from(()), |_| Test::Concatenation {
            fields,
            elements,
        })
    }
}

/// Statements on sets, and verdict maps.
impl<Of: Into<Acting>> Matches<Of> {
    /// `add @set { … }`: what the fields of `set` are becomes an element.
    ///
    /// ```
    /// # use portreeve_sdk::{Family, Selector, dynamic_set, rule};
    /// let knockers = dynamic_set("knockers", [Selector::Saddr(Family::Ip)], 60, 10_000);
    /// rule("knock").tcp_dport(7000).add_to(&knockers).drop();
    /// ```
    pub fn add_to(self, set: &FieldSet) -> Matches<Acting> {
        self.update(set, SetOperation::Add, None)
    }

    /// `update @set { … }`: likewise, and the time of the element begins anew.
    ///
    /// ```
    /// # use portreeve_sdk::{Family, Selector, dynamic_set, rule};
    /// let banned = dynamic_set("banned", [Selector::Saddr(Family::Ip)], 3600, 10_000);
    /// rule("still banned").in_set(&banned).update_in(&banned).drop();
    /// ```
    pub fn update_in(self, set: &FieldSet) -> Matches<Acting> {
        self.update(set, SetOperation::Update, None)
    }

    /// `delete @set { … }`: what the fields of `set` are is an element no more.
    ///
    /// ```
    /// # use portreeve_sdk::{Family, Selector, dynamic_set, rule};
    /// let knockers = dynamic_set("knockers", [Selector::Saddr(Family::Ip)], 60, 10_000);
    /// rule("shut").tcp_dport(7001).delete_from(&knockers).drop();
    /// ```
    pub fn delete_from(self, set: &FieldSet) -> Matches<Acting> {
        self.update(set, SetOperation::Delete, None)
    }

    /// `update @set { … limit rate over … }`: the rule goes on for what exceeds the rate of its own
    /// element: of each source, when the set remembers sources.
    ///
    /// ```
    /// # use portreeve_sdk::{TimeUnit, rule, sources};
    /// let [v4, _] = sources("ssh", 600, 65_535);
    /// rule("too many").tcp_dport(22).limit_rate_over_each(&v4, 6, TimeUnit::Minute, 5).drop();
    /// ```
    pub fn limit_rate_over_each(
        self,
        set: &FieldSet,
        rate: u32,
        per: TimeUnit,
        burst: u32,
    ) -> Matches<Acting> {
        let limit = Limit {
            rate,
            per,
            burst,
            over: true,
        };
        self.update(set, SetOperation::Update, Some(limit))
    }

    fn update(
        mut self,
        set: &FieldSet,
        operation: SetOperation,
        limit: Option<Limit>,
    ) -> Matches<Acting> {
        self.conditions.field_sets.push(set.clone());
        let set = set.name.clone();
        self.then(Statement::UpdateSet {
            set,
            operation,
            limit,
        })
    }

    /// `vmap`: the element that the fields are decides; without one the next rule is next.
    ///
    /// ```
    /// # use portreeve_sdk::{Part, PortProtocol, Selector, Verdict, rule};
    /// rule("services").vmap([Selector::Dport(PortProtocol::Tcp)], [
    ///     ([Part::from(22)], Verdict::Jump("ssh".to_owned())),
    ///     ([Part::from(80..=90)], Verdict::Accept),
    /// ]);
    /// ```
    pub fn vmap<const N: usize>(
        self,
        fields: [Selector; N],
        elements: impl IntoIterator<Item = ([Part; N], Verdict)>,
    ) -> Rule {
        let elements = elements.into_iter();
        self.end(Statement::VerdictMap {
            fields: fields.into(),
            elements: elements
                .map(|(parts, verdict)| (key(parts), verdict))
                .collect(),
        })
    }
}
