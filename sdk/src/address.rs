//! Sets of addresses as expressions. The host evaluates them; a policy only says what it means.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::{BitAnd, BitOr, Not, RangeInclusive, Sub};

use portreeve_model::address::{Family, Prefix};
use portreeve_model::draft::{Element, SetNode};

/// Addresses of both families: `|` joins, `&` intersects, `-` takes away, `!` is everybody else.
///
/// ```
/// use portreeve_sdk::{feed, prefixes, rule};
///
/// let office = prefixes(["192.0.2.0/24", "2001:db8::/32"]);
/// let clients = (feed("cdn") | office.clone()) - prefixes(["192.0.2.66"]);
/// rule("https").saddr(clients.named("clients")).tcp_dport(443).accept();
/// rule("not from the office").saddr(!office).drop();
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addresses {
    pub(crate) expression: Expression,
    /// The name of the sets, when the author chose one.
    pub(crate) name: Option<String>,
}

/// Every address that some [`Addresses`] do not hold.
///
/// ```
/// use portreeve_sdk::{NotAddresses, prefixes};
///
/// let others: NotAddresses = !prefixes(["192.0.2.0/24"]);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotAddresses(pub(crate) Addresses);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Expression {
    Elements(Vec<Element>),
    Feed(String),
    Union(Box<Expression>, Box<Expression>),
    Intersection(Box<Expression>, Box<Expression>),
    Difference(Box<Expression>, Box<Expression>),
}

/// The addresses of a feed that the description names.
///
/// ```
/// use portreeve_sdk::{feed, rule};
///
/// rule("https").saddr(feed("cloudflare")).tcp_dport(443).accept();
/// ```
#[must_use]
pub fn feed(name: &str) -> Addresses {
    Expression::Feed(name.to_owned()).into()
}

/// Addresses and prefixes written out in the policy's own source.
///
/// ```
/// use portreeve_sdk::{prefixes, rule};
///
/// rule("dhcpv6").saddr(prefixes(["fe80::/10"])).udp_sport(547).udp_dport(546).accept();
/// ```
///
/// # Panics
/// When a text is not a prefix, or has bits set after its length.
#[must_use]
pub fn prefixes<const N: usize>(texts: [&str; N]) -> Addresses {
    let prefix = |text: &str| match text.parse::<Prefix>() {
        Ok(prefix) => prefix,
        Err(error) => panic!("`{text}` in the policy: {error}"),
    };
    texts.map(prefix).into_iter().collect()
}

impl Addresses {
    /// The same addresses, as sets that are called `name` followed by `_v4` and `_v6`. Without
    /// a name they are called like the feed, or after the rule.
    ///
    /// ```
    /// use portreeve_sdk::{Chain, ChainPolicy, draft, feed, rule};
    ///
    /// let web = rule("web").saddr(feed("cdn").named("clients")).tcp_dport(443).accept();
    /// let draft = draft([Chain::input(ChainPolicy::Drop).rule(web)]);
    /// assert_eq!(draft.sets[0].name, "clients_v4");
    /// ```
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

impl From<Expression> for Addresses {
    fn from(expression: Expression) -> Self {
        let name = None;
        Self { expression, name }
    }
}

impl FromIterator<Prefix> for Addresses {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        Expression::Elements(prefixes.into_iter().map(Element::from).collect()).into()
    }
}

impl From<Prefix> for Addresses {
    fn from(prefix: Prefix) -> Self {
        [prefix].into_iter().collect()
    }
}

impl From<RangeInclusive<Ipv4Addr>> for Addresses {
    fn from(range: RangeInclusive<Ipv4Addr>) -> Self {
        let (first, last) = ((*range.start()).into(), (*range.end()).into());
        Expression::Elements(vec![Element::Range { first, last }]).into()
    }
}

impl From<RangeInclusive<Ipv6Addr>> for Addresses {
    fn from(range: RangeInclusive<Ipv6Addr>) -> Self {
        let (first, last) = ((*range.start()).into(), (*range.end()).into());
        Expression::Elements(vec![Element::Range { first, last }]).into()
    }
}

impl BitOr for Addresses {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        let (left, right) = (self.expression.into(), other.expression.into());
        Expression::Union(left, right).into()
    }
}

impl BitAnd for Addresses {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        let (left, right) = (self.expression.into(), other.expression.into());
        Expression::Intersection(left, right).into()
    }
}

impl Sub for Addresses {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (left, right) = (self.expression.into(), other.expression.into());
        Expression::Difference(left, right).into()
    }
}

impl Not for Addresses {
    type Output = NotAddresses;

    fn not(self) -> NotAddresses {
        NotAddresses(self)
    }
}

impl Expression {
    /// Whether an address of `family` can be a member, as far as the policy knows.
    pub(crate) fn may_hold(&self, family: Family) -> bool {
        match self {
            Self::Elements(elements) => elements.iter().any(|e| family_of(e) == family),
            Self::Feed(_) => true,
            Self::Union(left, right) => left.may_hold(family) || right.may_hold(family),
            Self::Intersection(left, right) => left.may_hold(family) && right.may_hold(family),
            Self::Difference(from, _) => from.may_hold(family),
        }
    }

    /// The nodes of a draft's set: operands first, the whole last.
    pub(crate) fn nodes(&self) -> Vec<SetNode> {
        let mut nodes = Vec::new();
        self.push_to(&mut nodes);
        nodes
    }

    /// Appends the expression; returns its position.
    fn push_to(&self, nodes: &mut Vec<SetNode>) -> u32 {
        let node = match self {
            Self::Elements(elements) => SetNode::Elements(elements.clone()),
            Self::Feed(name) => SetNode::Feed(name.clone()),
            Self::Union(left, right) => {
                SetNode::Union(vec![left.push_to(nodes), right.push_to(nodes)])
            }
            Self::Intersection(left, right) => {
                SetNode::Intersection(vec![left.push_to(nodes), right.push_to(nodes)])
            }
            Self::Difference(from, less) => {
                SetNode::Difference(from.push_to(nodes), less.push_to(nodes))
            }
        };
        nodes.push(node);
        u32::try_from(nodes.len() - 1).expect("an expression in memory has fewer nodes")
    }
}

/// The family of an element; of a range, that of its first address.
pub(crate) fn family_of(element: &Element) -> Family {
    match element {
        Element::Prefix { address, .. } => Family::of(*address),
        Element::Range { first, .. } => Family::of(*first),
    }
}
