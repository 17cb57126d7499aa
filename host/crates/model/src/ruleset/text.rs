//! Rules in nft(8)'s text syntax, for people and for snapshots.
//!
//! Everything printed here has passed validation, so nothing in it can be read as other syntax.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;

use super::{
    Chain, ChainPolicy, Limit, LogLevel, Match, Operand, Reject, Rule, Ruleset, Set, Statement,
    TimeUnit, Verdict,
};
use crate::address::{Family, Prefix};
use crate::field::{Field, protocol_name};
use crate::icmp;
use crate::intervals::{Interval, Intervals};
use crate::packet::CtState;

/// How the elements of large sets are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Elements {
    /// All of them: the text can be loaded with `nft -f`.
    All,
    /// The first few, then how many more there are: for reading.
    AtMost(usize),
}

impl Ruleset {
    /// The rule set as an nft table named `table`.
    #[must_use]
    pub fn to_nft(&self, table: &str, elements: Elements) -> String {
        let mut out = String::new();
        self.write_nft(&mut out, table, elements)
            .expect("writing to a string does not fail");
        out
    }

    fn write_nft(&self, out: &mut String, table: &str, elements: Elements) -> fmt::Result {
        writeln!(out, "table inet {table} {{")?;
        let mut gap = "";
        for set in &self.sets {
            out.push_str(gap);
            write_set(out, set, elements)?;
            gap = "\n";
        }
        for chain in &self.chains {
            out.push_str(gap);
            write_chain(out, chain)?;
            gap = "\n";
        }
        writeln!(out, "}}")
    }
}

fn write_set(out: &mut String, set: &Set, shown: Elements) -> fmt::Result {
    writeln!(out, "\tset {} {{", set.name)?;
    writeln!(out, "\t\ttype {}_addr", set.family.nfproto())?;
    writeln!(out, "\t\tflags interval")?;
    let most = match shown {
        Elements::All => usize::MAX,
        Elements::AtMost(most) => most,
    };
    let texts: Vec<String> = set
        .elements
        .iter()
        .take(most)
        .map(|interval| address_text(set.family, *interval))
        .collect();
    if !texts.is_empty() {
        writeln!(out, "\t\telements = {{ {} }}", texts.join(",\n\t\t\t     "))?;
    }
    if set.elements.len() > most {
        writeln!(out, "\t\t# … and {} more", set.elements.len() - most)?;
    }
    writeln!(out, "\t}}")
}

fn write_chain(out: &mut String, chain: &Chain) -> fmt::Result {
    writeln!(out, "\tchain {} {{", chain.name)?;
    if let Some(base) = chain.base {
        let policy = base.policy.keyword();
        writeln!(
            out,
            "\t\ttype filter hook {} priority {}; policy {policy};",
            base.hook, base.priority
        )?;
    }
    for rule in &chain.rules {
        writeln!(out, "\t\t{rule} comment \"{}\"", rule.label)?;
    }
    writeln!(out, "\t}}")
}

/// The rule without its comment.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for condition in &self.matches {
            write!(f, "{gap}{condition}")?;
            gap = " ";
        }
        for statement in &self.statements {
            write!(f, "{gap}{statement}")?;
            gap = " ";
        }
        Ok(())
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.field,
            if self.negated { "!= " } else { "" }
        )?;
        match &self.operand {
            Operand::Set(name) => write!(f, "@{name}"),
            Operand::Interfaces(names) => write_values(
                f,
                names
                    .iter()
                    .map(|name| alloc::format!("\"{name}\""))
                    .collect(),
            ),
            // States are bits to nft: a list without braces asks for any of them.
            Operand::Numbers(states) if self.field == Field::CtState => {
                let names: Vec<_> = CtState::ALL
                    .into_iter()
                    .filter(|state| states.contains(*state as u128))
                    .map(CtState::keyword)
                    .collect();
                f.write_str(&names.join(","))
            }
            Operand::Numbers(numbers) => write_values(f, value_texts(self.field, numbers)),
        }
    }
}

fn write_values(f: &mut fmt::Formatter<'_>, values: Vec<String>) -> fmt::Result {
    match values.as_slice() {
        [only] => f.write_str(only),
        _ => write!(f, "{{ {} }}", values.join(", ")),
    }
}

/// Each value or range of values of `field`, as nft writes it.
fn value_texts(field: Field, numbers: &Intervals) -> Vec<String> {
    let named = |name: fn(Field, u8) -> Option<&'static str>| -> Vec<String> {
        // A name stands for one number, so a range of named numbers is written out.
        let mut texts = Vec::new();
        for interval in numbers {
            let (first, last) = (interval.first() as u8, interval.last() as u8);
            if (first..=last).all(|number| name(field, number).is_some()) {
                texts.extend(
                    (first..=last)
                        .filter_map(|n| name(field, n))
                        .map(str::to_string),
                );
            } else {
                texts.push(range_text(first, last));
            }
        }
        texts
    };
    match field {
        Field::Saddr(family) | Field::Daddr(family) => numbers
            .iter()
            .map(|interval| address_text(family, *interval))
            .collect(),
        Field::IcmpType(_) => named(|field, number| {
            field
                .family()
                .and_then(|family| icmp::type_name(family, number))
        }),
        Field::L4proto => named(|_, number| protocol_name(number)),
        Field::Nfproto => named(|_, number| {
            Family::BOTH
                .into_iter()
                .find(|f| f.number() == number)
                .map(Family::nfproto)
        }),
        Field::Iifname
        | Field::Oifname
        | Field::HopLimit(_)
        | Field::Sport(_)
        | Field::Dport(_)
        | Field::CtState => numbers
            .iter()
            .map(|interval| range_text(interval.first(), interval.last()))
            .collect(),
    }
}

fn range_text<T: Copy + PartialEq + fmt::Display>(first: T, last: T) -> String {
    if first == last {
        first.to_string()
    } else {
        alloc::format!("{first}-{last}")
    }
}

/// Addresses as nft writes them: one, a prefix, or a range.
#[must_use]
pub fn address_text(family: Family, interval: Interval) -> String {
    match Prefix::exactly(family, interval) {
        Some(prefix) => prefix.to_string(),
        None => alloc::format!(
            "{}-{}",
            family.address(interval.first()),
            family.address(interval.last())
        ),
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter => f.write_str("counter"),
            Self::Limit(limit) => write!(f, "{limit}"),
            Self::Log { prefix, level } => {
                f.write_str("log")?;
                if let Some(prefix) = prefix {
                    write!(f, " prefix \"{prefix}\"")?;
                }
                write!(f, " level {}", level.keyword())
            }
            Self::Reject(reject) => write!(f, "reject with {}", reject.keyword()),
            Self::Verdict(verdict) => write!(f, "{verdict}"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = if self.over { "over " } else { "" };
        let Self { rate, burst, .. } = self;
        write!(
            f,
            "limit rate {over}{rate}/{} burst {burst} packets",
            self.per.keyword()
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Continue => f.write_str("continue"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl ChainPolicy {
    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
        }
    }
}

impl TimeUnit {
    /// Every unit, shortest first.
    pub const ALL: [Self; 5] = [
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
    ];

    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}

impl LogLevel {
    /// Every level, by number.
    pub const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Err,
        Self::Warn,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Alert => "alert",
            Self::Crit => "crit",
            Self::Err => "err",
            Self::Warn => "warn",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Reject {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::PortUnreachable,
        Self::AdminProhibited,
        Self::HostUnreachable,
        Self::NoRoute,
        Self::TcpReset,
    ];

    /// nft's words after `reject with`.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            // `icmpx type`: nft 0.9.8 takes no other spelling, and every later one takes this.
            Self::PortUnreachable => "icmpx type port-unreachable",
            Self::AdminProhibited => "icmpx type admin-prohibited",
            Self::HostUnreachable => "icmpx type host-unreachable",
            Self::NoRoute => "icmpx type no-route",
            Self::TcpReset => "tcp reset",
        }
    }
}
