//! Rules in nft(8)'s order: matches, then statements, then a verdict. The types keep that order.
//!
//! The same matches say which packets a goal is about.

use std::ops::RangeInclusive;

use portreeve_model::address::Family;
use portreeve_model::draft::{FieldSet, Match, Statement, Test};
use portreeve_model::field::PortProtocol;
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{Limit, LogLevel, Reject, TimeUnit};

use crate::address::{Addresses, NotAddresses};
use crate::operand::{Icmp, Icmpv6, Ports, Values, numbers};

/// Begins a rule. `label` is kept as nft's comment; it is how people find the rule again.
///
/// ```
/// use portreeve_sdk::rule;
///
/// let ssh = rule("ssh").tcp_dport(22).accept();
/// ```
pub fn rule(label: &str) -> Matches<Label> {
    Matches {
        of: Label(label.to_owned()),
        conditions: Conditions::default(),
    }
}

/// Begins a description of packets, for a goal.
///
/// ```
/// use portreeve_sdk::{CtState, goal, packets};
///
/// let open = packets().tcp_dport_setting("ssh-port").ct_state(CtState::New);
/// let goal = goal("ssh stays reachable").all_accepted([open]);
/// ```
pub fn packets() -> Matches<Promise> {
    Matches {
        of: Promise::default(),
        conditions: Conditions::default(),
    }
}

/// Matches so far: `Of` says of what. All of them must hold of a packet.
///
/// ```
/// use portreeve_sdk::{Label, Matches, rule};
///
/// let from_lo: Matches<Label> = rule("loopback").iifname("lo");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Matches<Of> {
    pub(crate) of: Of,
    pub(crate) conditions: Conditions,
}

/// A rule that may still get matches.
///
/// ```
/// use portreeve_sdk::{Label, Matches, rule};
///
/// let begun: Matches<Label> = rule("ssh");
/// ```
#[derive(Clone, Debug)]
pub struct Label(String);

/// A rule that has a statement already, so it gets no more matches.
///
/// ```
/// use portreeve_sdk::{Acting, Matches, rule};
///
/// let counting: Matches<Acting> = rule("ssh").tcp_dport(22).counter();
/// ```
#[derive(Clone, Debug)]
pub struct Acting {
    label: String,
    statements: Vec<Statement>,
}

/// The packets of a goal.
///
/// ```
/// use portreeve_sdk::{Matches, Promise, packets};
///
/// let pings: Matches<Promise> = packets().when("echo");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Promise {
    pub(crate) when: Option<String>,
    pub(crate) dport_setting: Option<(PortProtocol, String)>,
}

/// Marks what may get matches: a rule without statements, and the packets of a goal.
///
/// ```
/// use portreeve_sdk::{Matches, TakesMatches};
///
/// fn from_loopback<Of: TakesMatches>(packets: Matches<Of>) -> Matches<Of> {
///     packets.iifname("lo")
/// }
/// ```
pub trait TakesMatches: sealed::Sealed {}

impl TakesMatches for Label {}
impl TakesMatches for Promise {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Label {}
    impl Sealed for super::Promise {}
}

/// What must hold of a packet, with addresses of both families still together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) matches: Vec<Match>,
    pub(crate) addresses: Vec<AddressMatch>,
    /// The sets that are looked into or written to.
    pub(crate) field_sets: Vec<FieldSet>,
}

/// A match on an address, for both families.
#[derive(Clone, Debug)]
pub(crate) struct AddressMatch {
    pub(crate) end: End,
    pub(crate) negated: bool,
    pub(crate) addresses: Addresses,
}

/// Which of a packet's addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Saddr,
    Daddr,
}

impl From<Addresses> for (bool, Addresses) {
    fn from(addresses: Addresses) -> Self {
        (false, addresses)
    }
}

impl From<NotAddresses> for (bool, Addresses) {
    fn from(NotAddresses(addresses): NotAddresses) -> Self {
        (true, addresses)
    }
}

/// Matches. Each example shows the rule as nft(8) writes it.
impl<Of: TakesMatches> Matches<Of> {
    /// `iifname`: the interface that the packet came in by. A `*` at the end stands for any rest.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("loopback").iifname("lo").accept(); // iifname "lo" accept
    /// ```
    pub fn iifname(self, names: impl Into<Values<String>>) -> Self {
        self.test(names.into(), Test::Iifname)
    }

    /// `oifname`: the interface that the packet goes out by.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("to the LAN").oifname(["lan0", "lan1"]).accept();
    /// ```
    pub fn oifname(self, names: impl Into<Values<String>>) -> Self {
        self.test(names.into(), Test::Oifname)
    }

    /// `meta nfproto`: packets of one family.
    ///
    /// ```
    /// # use portreeve_sdk::{Family, rule};
    /// rule("dhcp").meta_nfproto(Family::Ip).udp_sport(67).udp_dport(68).accept();
    /// ```
    pub fn meta_nfproto(self, family: Family) -> Self {
        self.test(Values::from(family), |_| Test::Nfproto(family))
    }

    /// `meta l4proto`: the transport protocol, by number.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("gre").meta_l4proto(47).accept();
    /// ```
    pub fn meta_l4proto(self, protocols: impl Into<Values<RangeInclusive<u8>>>) -> Self {
        self.test(protocols.into(), Test::L4proto)
    }

    /// `ip saddr`, `ip6 saddr`: the source address. One rule for each family comes of it.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy, draft, feed, rule};
    /// let https = rule("https").saddr(feed("cdn")).tcp_dport(443).accept();
    /// let draft = draft([Chain::input(ChainPolicy::Drop).rule(https)]);
    /// assert_eq!(draft.chains[0].rules.len(), 2);
    /// assert_eq!(draft.sets[1].name, "cdn_v6");
    /// ```
    pub fn saddr(self, addresses: impl Into<(bool, Addresses)>) -> Self {
        self.address(End::Saddr, addresses.into())
    }

    /// `ip daddr`, `ip6 daddr`: the destination address. One rule for each family comes of it.
    ///
    /// ```
    /// # use portreeve_sdk::{prefixes, rule};
    /// rule("all hosts").daddr(prefixes(["224.0.0.1", "ff02::1"])).accept();
    /// ```
    pub fn daddr(self, addresses: impl Into<(bool, Addresses)>) -> Self {
        self.address(End::Daddr, addresses.into())
    }

    /// `ip ttl`: the hop limit of an IPv4 packet.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("bgp from next door").ip_ttl(255).tcp_dport(179).accept();
    /// ```
    pub fn ip_ttl(self, limits: impl Into<Values<RangeInclusive<u8>>>) -> Self {
        self.test(limits.into(), |values| Test::HopLimit(Family::Ip, values))
    }

    /// `ip6 hoplimit`: the hop limit of an IPv6 packet.
    ///
    /// ```
    /// # use portreeve_sdk::{Icmpv6, rule};
    /// let advert = Icmpv6::ND_NEIGHBOR_ADVERT;
    /// rule("neighbours").ip6_hoplimit(255).icmpv6_type(advert).accept();
    /// ```
    pub fn ip6_hoplimit(self, limits: impl Into<Values<RangeInclusive<u8>>>) -> Self {
        self.test(limits.into(), |values| Test::HopLimit(Family::Ip6, values))
    }

    /// `tcp sport`: the source port of a TCP packet.
    ///
    /// ```
    /// # use portreeve_sdk::{Ports, rule};
    /// rule("not privileged").tcp_sport(!Ports::from(0..=1023)).accept();
    /// ```
    pub fn tcp_sport(self, ports: impl Into<Ports>) -> Self {
        self.test(ports.into(), |values| {
            Test::Sport(PortProtocol::Tcp, values)
        })
    }

    /// `tcp dport`: the destination port of a TCP packet.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("web").tcp_dport([80, 443]).accept(); // tcp dport { 80, 443 } accept
    /// ```
    pub fn tcp_dport(self, ports: impl Into<Ports>) -> Self {
        self.test(ports.into(), |values| {
            Test::Dport(PortProtocol::Tcp, values)
        })
    }

    /// `udp sport`: the source port of a UDP packet.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("ntp answers").udp_sport(123).accept();
    /// ```
    pub fn udp_sport(self, ports: impl Into<Ports>) -> Self {
        self.test(ports.into(), |values| {
            Test::Sport(PortProtocol::Udp, values)
        })
    }

    /// `udp dport`: the destination port of a UDP packet.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("mosh").udp_dport(60000..=61000).accept();
    /// ```
    pub fn udp_dport(self, ports: impl Into<Ports>) -> Self {
        self.test(ports.into(), |values| {
            Test::Dport(PortProtocol::Udp, values)
        })
    }

    /// `icmp type`: the type of an ICMP message; IPv4 only.
    ///
    /// ```
    /// # use portreeve_sdk::{Icmp, rule};
    /// rule("ping").icmp_type(Icmp::ECHO_REQUEST).accept();
    /// ```
    pub fn icmp_type(self, types: impl Into<Values<Icmp>>) -> Self {
        self.test(types.into(), |values| {
            Test::IcmpType(Family::Ip, numbers(values))
        })
    }

    /// `icmpv6 type`: the type of an ICMPv6 message; IPv6 only.
    ///
    /// ```
    /// # use portreeve_sdk::{Icmpv6, rule};
    /// rule("ping").icmpv6_type(Icmpv6::ECHO_REQUEST).accept();
    /// ```
    pub fn icmpv6_type(self, types: impl Into<Values<Icmpv6>>) -> Self {
        self.test(types.into(), |values| {
            Test::IcmpType(Family::Ip6, numbers(values))
        })
    }

    /// `ct state`: what conntrack says of the packet.
    ///
    /// ```
    /// # use portreeve_sdk::{CtState, rule};
    /// rule("replies").ct_state([CtState::Established, CtState::Related]).accept();
    /// ```
    pub fn ct_state(self, states: impl Into<Values<CtState>>) -> Self {
        self.test(states.into(), Test::CtState)
    }

    pub(crate) fn test<T>(mut self, values: Values<T>, test: impl FnOnce(Vec<T>) -> Test) -> Self {
        let Values { negated, values } = values;
        let test = test(values);
        self.conditions.matches.push(Match { negated, test });
        self
    }

    fn address(mut self, end: End, (negated, addresses): (bool, Addresses)) -> Self {
        let condition = AddressMatch {
            end,
            negated,
            addresses,
        };
        self.conditions.addresses.push(condition);
        self
    }
}

/// What only the packets of a goal can say.
impl Matches<Promise> {
    /// These packets count only while the boolean setting `name` is true.
    ///
    /// ```
    /// # use portreeve_sdk::{Icmp, packets};
    /// packets().when("echo").icmp_type(Icmp::ECHO_REQUEST);
    /// ```
    pub fn when(mut self, name: &str) -> Self {
        self.of.when = Some(name.to_owned());
        self
    }

    /// The destination port of a TCP packet is one that the setting `name` holds.
    ///
    /// ```
    /// # use portreeve_sdk::packets;
    /// packets().tcp_dport_setting("ssh-port");
    /// ```
    pub fn tcp_dport_setting(mut self, name: &str) -> Self {
        self.of.dport_setting = Some((PortProtocol::Tcp, name.to_owned()));
        self
    }

    /// The destination port of a UDP packet is one that the setting `name` holds.
    ///
    /// ```
    /// # use portreeve_sdk::packets;
    /// packets().udp_dport_setting("mosh-ports");
    /// ```
    pub fn udp_dport_setting(mut self, name: &str) -> Self {
        self.of.dport_setting = Some((PortProtocol::Udp, name.to_owned()));
        self
    }
}

/// A whole rule.
///
/// ```
/// use portreeve_sdk::{Rule, rule};
///
/// let ssh: Rule = rule("ssh").tcp_dport(22).accept();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Rule {
    pub(crate) label: String,
    pub(crate) conditions: Conditions,
    pub(crate) statements: Vec<Statement>,
}

impl Rule {
    /// The sets that it looks into or writes to.
    pub(crate) fn field_sets(&self) -> impl Iterator<Item = &FieldSet> {
        self.conditions.field_sets.iter()
    }
}

impl From<Label> for Acting {
    fn from(Label(label): Label) -> Self {
        let statements = Vec::new();
        Self { label, statements }
    }
}

/// Statements, which may be followed by others, and verdicts, which end the rule.
impl<Of: Into<Acting>> Matches<Of> {
    /// `counter`: counts packets and bytes.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("ssh").tcp_dport(22).counter().accept();
    /// ```
    pub fn counter(self) -> Matches<Acting> {
        self.then(Statement::Counter)
    }

    /// `limit rate`: the rule goes on for so many packets per unit of time, and a burst.
    ///
    /// ```
    /// # use portreeve_sdk::{TimeUnit, rule};
    /// rule("ping").limit_rate(10, TimeUnit::Second, 5).accept();
    /// ```
    pub fn limit_rate(self, rate: u32, per: TimeUnit, burst: u32) -> Matches<Acting> {
        let over = false;
        let limit = Limit {
            rate,
            per,
            burst,
            over,
        };
        self.then(Statement::Limit(limit))
    }

    /// `limit rate over`: the rule goes on for what exceeds the rate.
    ///
    /// ```
    /// # use portreeve_sdk::{TimeUnit, rule};
    /// rule("flood").tcp_dport(22).limit_rate_over(10, TimeUnit::Second, 5).drop();
    /// ```
    pub fn limit_rate_over(self, rate: u32, per: TimeUnit, burst: u32) -> Matches<Acting> {
        let over = true;
        let limit = Limit {
            rate,
            per,
            burst,
            over,
        };
        self.then(Statement::Limit(limit))
    }

    /// `log`: writes a line to the kernel log.
    ///
    /// ```
    /// # use portreeve_sdk::{LogLevel, rule};
    /// rule("strangers").log("dropped: ", LogLevel::Info).drop();
    /// ```
    pub fn log(self, prefix: &str, level: LogLevel) -> Matches<Acting> {
        let prefix = Some(prefix.to_owned());
        self.then(Statement::Log { prefix, level })
    }

    /// `log group`: hands the packet to a program that listens to this group (nflog).
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("strangers").log_group("dropped: ", 1).drop();
    /// ```
    pub fn log_group(self, prefix: &str, group: u16) -> Matches<Acting> {
        let prefix = Some(prefix.to_owned());
        self.then(Statement::LogGroup { prefix, group })
    }

    /// `quota over`: the rule goes on once so many bytes have passed here.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("too much").oifname("wan0").quota_over(1 << 30).drop();
    /// ```
    pub fn quota_over(self, bytes: u64) -> Matches<Acting> {
        let over = true;
        self.then(Statement::Quota { bytes, over })
    }

    /// `quota`: the rule goes on until so many bytes have passed here.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("a little").oifname("wan0").quota(1 << 20).accept();
    /// ```
    pub fn quota(self, bytes: u64) -> Matches<Acting> {
        let over = false;
        self.then(Statement::Quota { bytes, over })
    }

    /// `ct count over`: the rule goes on for connections beyond so many.
    ///
    /// ```
    /// # use portreeve_sdk::{CtState, rule};
    /// rule("full").tcp_dport(22).ct_state(CtState::New).ct_count_over(20).drop();
    /// ```
    pub fn ct_count_over(self, count: u32) -> Matches<Acting> {
        let over = true;
        self.then(Statement::CtCount { count, over })
    }

    /// `accept`: the packet passes this base chain.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("ssh").tcp_dport(22).accept();
    /// ```
    pub fn accept(self) -> Rule {
        self.end(Statement::Accept)
    }

    /// `drop`: the packet is gone, and nobody is told.
    ///
    /// ```
    /// # use portreeve_sdk::{CtState, rule};
    /// rule("invalid").ct_state(CtState::Invalid).drop();
    /// ```
    pub fn drop(self) -> Rule {
        self.end(Statement::Drop)
    }

    /// `reject`: the packet is dropped and its sender is told.
    ///
    /// ```
    /// # use portreeve_sdk::{Reject, rule};
    /// rule("ident").tcp_dport(113).reject(Reject::TcpReset);
    /// ```
    pub fn reject(self, with: Reject) -> Rule {
        self.end(Statement::Reject(with))
    }

    /// `jump`: through the regular chain, then on with the next rule.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("from the LAN").iifname("lan0").jump("lan");
    /// ```
    pub fn jump(self, chain: &str) -> Rule {
        self.end(Statement::Jump(chain.to_owned()))
    }

    /// `goto`: through the regular chain, and not back to this one.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("from the LAN").iifname("lan0").goto("lan");
    /// ```
    pub fn goto(self, chain: &str) -> Rule {
        self.end(Statement::Goto(chain.to_owned()))
    }

    /// `return`: back to the calling chain; in a base chain, to its chain policy.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("the rest").return_();
    /// ```
    pub fn return_(self) -> Rule {
        self.end(Statement::Return)
    }

    /// `continue`: on with the next rule, once the statements are done.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("count ssh").tcp_dport(22).counter().continue_();
    /// ```
    pub fn continue_(self) -> Rule {
        self.end(Statement::Continue)
    }

    pub(crate) fn then(self, statement: Statement) -> Matches<Acting> {
        let Self { of, conditions } = self;
        let mut of: Acting = of.into();
        of.statements.push(statement);
        Matches { of, conditions }
    }

    pub(crate) fn end(self, verdict: Statement) -> Rule {
        let Matches { of, conditions } = self.then(verdict);
        let Acting { label, statements } = of;
        Rule {
            label,
            conditions,
            statements,
        }
    }
}
