//! Rules in nft(8)'s text syntax, for people and for snapshots.
//!
//! Everything printed here has passed validation, so nothing in it can be read as other syntax.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;

use super::{
    Chain, ChainPolicy, Contents, FieldSet, Key, Limit, LogLevel, MarkValue, Match, Nat, Operand,
    Reject, Rule, Ruleset, Set, SetUpdate, Statement, TimeUnit, Verdict, VerdictMap,
};
use crate::address::{Family, Prefix};
use crate::field::{Field, Kind};
use crate::intervals::{Interval, Intervals};

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
        for set in &self.field_sets {
            out.push_str(gap);
            write_field_set(out, set, elements)?;
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
    let texts = set.elements.iter();
    let texts = texts.map(|interval| address_text(set.family, *interval));
    write_elements(out, texts, shown)?;
    writeln!(out, "\t}}")
}

fn write_elements(
    out: &mut String,
    mut texts: impl Iterator<Item = String>,
    shown: Elements,
) -> fmt::Result {
    let most = match shown {
        Elements::All => usize::MAX,
        Elements::AtMost(most) => most,
    };
    let first: Vec<String> = texts.by_ref().take(most).collect();
    if !first.is_empty() {
        writeln!(out, "\t\telements = {{ {} }}", first.join(",\n\t\t\t     "))?;
    }
    match texts.count() {
        0 => Ok(()),
        more => writeln!(out, "\t\t# … and {more} more"),
    }
}

fn write_field_set(out: &mut String, set: &FieldSet, shown: Elements) -> fmt::Result {
    writeln!(out, "\tset {} {{", set.name)?;
    let types: Vec<&str> = set.fields.iter().copied().map(type_name).collect();
    writeln!(out, "\t\ttype {}", types.join(" . "))?;
    match &set.contents {
        Contents::Elements(elements) => {
            writeln!(out, "\t\tflags interval")?;
            let texts = elements.iter().map(|key| key_text(&set.fields, key));
            write_elements(out, texts, shown)?;
        }
        Contents::Dynamic { timeout, size } => {
            writeln!(out, "\t\tsize {size}")?;
            writeln!(out, "\t\tflags dynamic,timeout")?;
            writeln!(out, "\t\ttimeout {timeout}s")?;
        }
    }
    writeln!(out, "\t}}")
}

/// nft's name for the type of a field's values.
#[must_use]
pub const fn type_name(field: Field) -> &'static str {
    match field.kind() {
        Kind::Address(Family::Ip) => "ipv4_addr",
        Kind::Address(Family::Ip6) => "ipv6_addr",
        Kind::Interface => "ifname",
        Kind::Protocol => "inet_proto",
        Kind::CtState => "ct_state",
        // Ports are the only other fields that a set can have.
        _ => "inet_service",
    }
}

/// An element with a value for each field.
fn key_text(fields: &[Field], key: &[Interval]) -> String {
    let each = fields
        .iter()
        .zip(key)
        .map(|(field, it)| field.kind().interval(*it));
    each.collect::<Vec<_>>().join(" . ")
}

/// Fields as the left side of a match.
fn fields_text(fields: &[Field]) -> String {
    let texts: Vec<String> = fields.iter().map(ToString::to_string).collect();
    texts.join(" . ")
}

fn write_chain(out: &mut String, chain: &Chain) -> fmt::Result {
    writeln!(out, "\tchain {} {{", chain.name)?;
    if let Some(base) = chain.base {
        let policy = base.policy.keyword();
        writeln!(
            out,
            "\t\ttype {} hook {} priority {}; policy {policy};",
            base.chain_type.keyword(),
            base.hook,
            base.priority
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
        let mut not = if self.negated { "!= " } else { "" };
        match &self.key {
            Key::Field(field) => write!(f, "{field} ")?,
            Key::Bits { field, mask } => {
                write!(f, "{field} & {mask:#x} ")?;
                // Without a word nft would ask for any of the bits.
                not = if self.negated { "!= " } else { "== " };
            }
            Key::Concatenation(fields) => write!(f, "{} ", fields_text(fields))?,
        }
        f.write_str(not)?;
        match (&self.operand, &self.key) {
            (Operand::Set(name), _) => write!(f, "@{name}"),
            // States are bits to nft: a list without braces asks for any of them.
            (Operand::Numbers(states), Key::Field(Field::CtState)) => {
                f.write_str(&Kind::CtState.texts(states).join(","))
            }
            // And flags too: only with a word is it all of them that are asked for.
            (Operand::Numbers(flags), Key::Field(Field::TcpFlags)) => {
                f.write_str(if self.negated { "" } else { "== " })?;
                write_bits(f, flags)
            }
            (Operand::Numbers(bits), Key::Bits { .. }) => write_bits(f, bits),
            (Operand::Numbers(numbers), _) => {
                let kind = self
                    .fields()
                    .first()
                    .map_or(Kind::Number, |field| field.kind());
                kind.write_values(f, numbers, usize::MAX)
            }
            (Operand::Elements(elements), _) => {
                let fields = self.fields();
                let texts: Vec<String> = elements.iter().map(|key| key_text(fields, key)).collect();
                write!(f, "{{ {} }}", texts.join(", "))
            }
        }
    }
}

/// Values of bits one by one: nft has no ranges of them.
fn write_bits(f: &mut fmt::Formatter<'_>, bits: &Intervals) -> fmt::Result {
    let singles = bits.iter().flat_map(|it| it.first()..=it.last());
    let texts: Vec<String> = singles.map(|it| Kind::Bits.value(it)).collect();
    match texts.as_slice() {
        [only] => f.write_str(only),
        _ => write!(f, "{{ {} }}", texts.join(", ")),
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
            Self::Quota { bytes, over } => write!(f, "quota {}{bytes} bytes", over_text(*over)),
            Self::CtCount { count, over } => write!(f, "ct count {}{count}", over_text(*over)),
            Self::LogGroup { prefix, group } => {
                f.write_str("log")?;
                if let Some(prefix) = prefix {
                    write!(f, " prefix \"{prefix}\"")?;
                }
                write!(f, " group {group}")
            }
            Self::SetMark(mark, value) => {
                write!(f, "{} set ", mark.field())?;
                match value {
                    MarkValue::Number(number) => write!(f, "{number:#x}"),
                    MarkValue::Copied => write!(f, "{}", mark.other().field()),
                }
            }
            Self::Notrack => f.write_str("notrack"),
            Self::UpdateSet(update) => write!(f, "{update}"),
            Self::Reject(reject) => write!(f, "reject with {reject}"),
            Self::Nat(nat) => write!(f, "{nat}"),
            Self::VerdictMap(map) => write!(f, "{map}"),
            Self::Verdict(verdict) => write!(f, "{verdict}"),
        }
    }
}

const fn over_text(over: bool) -> &'static str {
    if over { "over " } else { "" }
}

impl fmt::Display for SetUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, fields) = (&self.set, fields_text(&self.fields));
        write!(f, "{} @{set} {{ {fields}", self.operation.keyword())?;
        if let Some(limit) = self.limit {
            write!(f, " {limit}")?;
        }
        f.write_str(" }")
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.keyword())?;
        if self.address.is_none() && self.ports.is_none() {
            return Ok(());
        }
        if let Some((family, _)) = self.address {
            write!(f, " {}", family.keyword())?;
        }
        f.write_str(" to ")?;
        if let Some((family, addresses)) = self.address {
            let ends = [addresses.first(), addresses.last()].map(|end| {
                let address = family.address(end);
                match family {
                    // Brackets keep the port apart.
                    Family::Ip6 if self.ports.is_some() => alloc::format!("[{address}]"),
                    _ => address.to_string(),
                }
            });
            match ends {
                [one, other] if one == other => f.write_str(&one)?,
                [first, last] => write!(f, "{first}-{last}")?,
            }
        }
        match self.ports {
            Some(ports) => write!(f, ":{}", Kind::Number.interval(ports)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for VerdictMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self
            .elements
            .iter()
            .map(|(key, verdict)| alloc::format!("{} : {verdict}", key_text(&self.fields, key)));
        let texts: Vec<String> = texts.collect();
        write!(
            f,
            "{} vmap {{ {} }}",
            fields_text(&self.fields),
            texts.join(", ")
        )
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = over_text(self.over);
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
    /// Every kind that is for both families, and `tcp reset`.
    pub const ALL: [Self; 5] = [
        Self::PortUnreachable,
        Self::AdminProhibited,
        Self::HostUnreachable,
        Self::NoRoute,
        Self::TcpReset,
    ];
}

/// nft's words after `reject with`.
impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // `icmpx type`: nft 0.9.8 takes no other spelling, and every later one takes this.
            Self::PortUnreachable => f.write_str("icmpx type port-unreachable"),
            Self::AdminProhibited => f.write_str("icmpx type admin-prohibited"),
            Self::HostUnreachable => f.write_str("icmpx type host-unreachable"),
            Self::NoRoute => f.write_str("icmpx type no-route"),
            Self::TcpReset => f.write_str("tcp reset"),
            Self::Icmp(code) => write!(f, "icmp type {code}"),
            Self::Icmpv6(code) => write!(f, "icmpv6 type {code}"),
        }
    }
}
