//! Everything that can be wrong with a draft, in the reader's words.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::address::{Family, PrefixError};
use crate::diagnostic::{Diagnostic, Quoted};
use crate::draft::ChainType;
use crate::field::Field;
use crate::icmp;
use crate::names::NameError;
use crate::packet::Hook;

/// One thing that is wrong with a draft.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Defect {
    Name(NameError),
    Duplicate {
        kind: &'static str,
    },
    Label(NameError),
    LogPrefix(NameError),
    Interface {
        name: String,
        error: NameError,
    },
    NoSuchSet {
        name: String,
    },
    SetOfOtherFamily {
        name: String,
        field: Field,
    },
    NoSuchFeed {
        name: String,
    },
    NoSuchChain {
        name: String,
    },
    JumpToBaseChain {
        name: String,
    },
    JumpCycle {
        path: String,
    },
    JumpsTooDeep {
        max: usize,
    },
    TooManyVisits {
        max: u64,
    },
    NoBaseChain,
    SamePlace {
        hook: Hook,
        priority: i32,
        other: String,
    },
    Priority {
        found: i32,
        max: i32,
    },
    TooMany {
        what: &'static str,
        found: usize,
        max: usize,
    },
    ExpressionOperand {
        node: usize,
        operand: u32,
    },
    ExpressionEmpty,
    Prefix {
        text: String,
        error: PrefixError,
    },
    RangeReversed {
        first: String,
        last: String,
    },
    RangeOfTwoFamilies {
        first: String,
        last: String,
    },
    ElementOfOtherFamily {
        text: String,
        field: Field,
    },
    NoValues {
        field: Field,
    },
    NotAtHook {
        field: Field,
        hook: Hook,
    },
    BeforeConntrack {
        what: String,
        hook: Hook,
        priority: i32,
    },
    NeverMatches {
        why: String,
    },
    NoStatement,
    AfterTheEnd,
    LimitNumber {
        what: &'static str,
        found: u32,
        max: u32,
    },
    RejectAtHook {
        hook: Hook,
    },
    ResetWithoutTcp,
    UnknownSetting {
        name: String,
    },
    ChainTypeAtHook {
        chain_type: ChainType,
        hook: Hook,
        allowed: &'static str,
    },
    NatPriority {
        found: i32,
        conntrack: i32,
    },
    NatPolicy,
    NatAtPlace {
        name: &'static str,
        chain_type: ChainType,
        hook: Hook,
        hooks: &'static [Hook],
    },
    PortsOfWhat,
    NotrackTooLate {
        hook: Hook,
        priority: i32,
        conntrack: i32,
    },
    TooHigh {
        field: Field,
        found: u32,
        max: u32,
    },
    EveryValue {
        field: Field,
    },
    Mask {
        field: Field,
        mask: u32,
        known: u32,
    },
    OutsideMask {
        field: Field,
        value: u32,
        mask: u32,
    },
    FieldsTogether {
        found: usize,
        least: usize,
        max: usize,
    },
    FieldTwice {
        field: Field,
    },
    NoElements,
    ElementLength {
        found: usize,
        fields: usize,
    },
    NotOfField {
        field: Field,
    },
    Overlap {
        one: String,
        other: String,
    },
    Number {
        what: &'static str,
        found: u64,
        first: u64,
        last: u64,
    },
    RejectCode {
        code: u8,
        family: Family,
    },
    NotDynamic {
        name: String,
    },
    LimitOnDelete,
    PlainAddresses,
    Neighbours {
        first: String,
        last: String,
    },
    KeyTooWide {
        found: u32,
        max: u32,
    },
}

impl Defect {
    /// The stable code. Never reuse one.
    const fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "V001",
            Self::Duplicate { .. } => "V002",
            Self::Label(_) => "V003",
            Self::LogPrefix(_) => "V004",
            Self::Interface { .. } => "V005",
            Self::NoSuchSet { .. } => "V006",
            Self::SetOfOtherFamily { .. } => "V007",
            Self::NoSuchFeed { .. } => "V008",
            Self::NoSuchChain { .. } => "V009",
            Self::JumpToBaseChain { .. } => "V010",
            Self::JumpCycle { .. } => "V011",
            Self::JumpsTooDeep { .. } => "V012",
            Self::TooManyVisits { .. } => "V013",
            Self::NoBaseChain => "V014",
            Self::SamePlace { .. } => "V015",
            Self::Priority { .. } => "V016",
            Self::TooMany { .. } => "V017",
            Self::ExpressionOperand { .. } => "V018",
            Self::ExpressionEmpty => "V019",
            Self::Prefix { .. } => "V020",
            Self::RangeReversed { .. } => "V021",
            Self::RangeOfTwoFamilies { .. } => "V022",
            Self::ElementOfOtherFamily { .. } => "V023",
            Self::NoValues { .. } => "V024",
            Self::NotAtHook { .. } => "V025",
            Self::BeforeConntrack { .. } => "V026",
            Self::NeverMatches { .. } => "V027",
            Self::NoStatement => "V028",
            Self::AfterTheEnd => "V029",
            Self::LimitNumber { .. } => "V030",
            Self::RejectAtHook { .. } => "V031",
            Self::ResetWithoutTcp => "V032",
            Self::UnknownSetting { .. } => "V033",
            Self::ChainTypeAtHook { .. } => "V034",
            Self::NatPriority { .. } => "V035",
            Self::NatPolicy => "V036",
            Self::NatAtPlace { .. } => "V037",
            Self::PortsOfWhat => "V038",
            Self::NotrackTooLate { .. } => "V039",
            Self::TooHigh { .. } => "V040",
            Self::EveryValue { .. } => "V041",
            Self::Mask { .. } => "V042",
            Self::OutsideMask { .. } => "V043",
            Self::FieldsTogether { .. } => "V044",
            Self::FieldTwice { .. } => "V045",
            Self::NoElements => "V046",
            Self::ElementLength { .. } => "V047",
            Self::NotOfField { .. } => "V048",
            Self::Overlap { .. } => "V049",
            Self::Number { .. } => "V050",
            Self::RejectCode { .. } => "V051",
            Self::NotDynamic { .. } => "V052",
            Self::LimitOnDelete => "V053",
            Self::PlainAddresses => "V054",
            Self::Neighbours { .. } => "V055",
            Self::KeyTooWide { .. } => "V056",
        }
    }

    /// What the policy's author does about it.
    fn help(&self) -> String {
        let help = match self {
            Self::Name(_) => "use a letter, then letters, digits and `_`",
            Self::Duplicate { .. } => "give each its own name",
            Self::Label(_) | Self::LogPrefix(_) => "use a short plain text",
            Self::Interface { .. } => "use the name that `ip link` shows",
            Self::NoSuchSet { .. } => "add the set to the draft, or name one that is there",
            Self::SetOfOtherFamily { .. } => "use one set for each family",
            Self::NoSuchFeed { .. } => "name the feed in `describe`",
            Self::NoSuchChain { .. } => "add the chain to the draft, or name one that is there",
            Self::JumpToBaseChain { .. } => "move its rules to a regular chain",
            Self::JumpCycle { .. } => "remove one of the jumps",
            Self::JumpsTooDeep { .. } | Self::TooManyVisits { .. } => "flatten the chains",
            Self::NoBaseChain => "attach a chain to a hook",
            Self::SamePlace { .. } => "put the rules into one chain, or change one priority",
            Self::Priority { .. } => "use 0, which is `filter`, unless there is a reason",
            Self::TooMany { .. } => "use sets and ranges instead of many rules and values",
            Self::ExpressionOperand { .. } => "let each node refer to earlier nodes only",
            Self::ExpressionEmpty => "write the elements, or name a feed",
            Self::Prefix { .. } => "write the prefix with its host bits cleared",
            Self::RangeReversed { .. } => "write the lower end first",
            Self::RangeOfTwoFamilies { .. } | Self::ElementOfOtherFamily { .. } => {
                "write one match for each family"
            }
            Self::NoValues { .. } => "name at least one value, or leave the match out",
            Self::NotAtHook { .. } => "move the rule to a chain of another hook",
            Self::BeforeConntrack { .. } => "use a priority above -200",
            Self::NeverMatches { .. } => "remove one of the matches, or write two rules",
            Self::NoStatement => "say what the rule does",
            Self::AfterTheEnd => "put the verdict last",
            Self::LimitNumber { .. } => "choose a number inside the range",
            Self::RejectAtHook { .. } => "drop instead, or move the rule to input or forward",
            Self::ResetWithoutTcp => "match `meta l4proto tcp` as well",
            Self::UnknownSetting { .. } => "name a setting or feed of the same description",
            Self::ChainTypeAtHook { .. } => "move the chain, or give it the type filter",
            Self::NatPriority { .. } => "use -100 for another destination, 100 for another source",
            Self::NatPolicy => "accept here, and drop in a chain of type filter",
            Self::NatAtPlace { .. } => "move the rule to a chain of type nat at one of these hooks",
            Self::PortsOfWhat => "match `tcp dport`, or one `meta l4proto` that has ports, as well",
            Self::NotrackTooLate { .. } => "use a chain at -300, which is `raw`",
            Self::TooHigh { .. } => "choose numbers that the field can hold",
            Self::EveryValue { .. } => "say whether it shall be there or not",
            Self::Mask { .. } => "use a mask of bits that the field has",
            Self::OutsideMask { .. } => "leave out of the values what the mask leaves out",
            Self::FieldsTogether { .. } => "name more fields, or write several rules",
            Self::FieldTwice { .. } => "name each field once",
            Self::NoElements => "write at least one element, or leave it out",
            Self::ElementLength { .. } => "give each element one value for each field",
            Self::NotOfField { .. } => "use the kind of values that the field holds",
            Self::Overlap { .. } => "take what both have out of one of them",
            Self::Number { .. } => "choose a number inside the range",
            Self::RejectCode { .. } => "use a code that nft has a name for",
            Self::NotDynamic { .. } => "name a set that has a timeout and a size",
            Self::LimitOnDelete => "limit an `add` or an `update`",
            Self::PlainAddresses => "use a set of addresses, which can name feeds too",
            Self::Neighbours { .. } => "write one rule for each of the two",
            Self::KeyTooWide { .. } => "ask some of the fields in a match of their own",
        };
        help.to_string()
    }

    /// The defect, said of `subject`.
    pub(super) fn of(&self, subject: &str) -> Diagnostic {
        Diagnostic {
            code: self.code(),
            subject: subject.to_string(),
            message: format!("{self}"),
            help: self.help(),
        }
    }
}

impl fmt::Display for Defect {
    #[expect(clippy::too_many_lines, reason = "one arm for each defect")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "name {error}"),
            Self::Duplicate { kind } => write!(f, "another {kind} has the same name"),
            Self::Label(error) => write!(f, "label {error}"),
            Self::LogPrefix(error) => write!(f, "log prefix {error}"),
            Self::Interface { name, error } => write!(f, "interface {} {error}", Quoted(name)),
            Self::NoSuchSet { name } => write!(f, "there is no set {}", Quoted(name)),
            Self::SetOfOtherFamily { name, field } => {
                write!(
                    f,
                    "set {} holds addresses of the other family than {field}",
                    Quoted(name)
                )
            }
            Self::NoSuchFeed { name } => write!(f, "the inputs hold no feed {}", Quoted(name)),
            Self::NoSuchChain { name } => write!(f, "there is no chain {}", Quoted(name)),
            Self::JumpToBaseChain { name } => {
                write!(
                    f,
                    "chain {} is a base chain; only hooks lead there",
                    Quoted(name)
                )
            }
            Self::JumpCycle { path } => write!(f, "jumps lead round in a circle: {path}"),
            Self::JumpsTooDeep { max } => {
                write!(
                    f,
                    "jumps nest deeper than the {max} that the kernel follows during a trial"
                )
            }
            Self::TooManyVisits { max } => {
                write!(
                    f,
                    "jumps could lead one packet through more than {max} rules"
                )
            }
            Self::NoBaseChain => write!(f, "no chain is attached to a hook, so no packet is seen"),
            Self::SamePlace {
                hook,
                priority,
                other,
            } => {
                write!(
                    f,
                    "chain {} is at {hook} priority {priority} too",
                    Quoted(other)
                )
            }
            Self::Priority { found, max } => {
                write!(f, "priority is {found}, allowed is -{max} to {max}")
            }
            Self::TooMany { what, found, max } => write!(f, "{found} {what}, at most {max} fit"),
            Self::ExpressionOperand { node, operand } => {
                write!(f, "node {node} of the expression refers to node {operand}")
            }
            Self::ExpressionEmpty => write!(f, "the expression has no node or no operand"),
            Self::Prefix { text, error } => write!(f, "`{text}`: {error}"),
            Self::RangeReversed { first, last } => {
                write!(f, "range {first}-{last} ends before it begins")
            }
            Self::RangeOfTwoFamilies { first, last } => {
                write!(
                    f,
                    "range {first}-{last} begins and ends in different families"
                )
            }
            Self::ElementOfOtherFamily { text, field } => {
                write!(f, "`{text}` is not of the family of {field}")
            }
            Self::NoValues { field } => write!(f, "{field} is compared with nothing"),
            Self::NotAtHook { field, hook } => write!(f, "{field} is not known at hook {hook}"),
            Self::BeforeConntrack {
                what,
                hook,
                priority,
            } => write!(
                f,
                "{what} is not known at {hook} priority {priority}, before conntrack at -200"
            ),
            Self::NeverMatches { why } => write!(f, "no packet can match: {why}"),
            Self::NoStatement => write!(f, "the rule does nothing"),
            Self::AfterTheEnd => write!(f, "a statement comes after the one that decides"),
            Self::LimitNumber { what, found, max } => {
                write!(f, "{what} of the limit is {found}, allowed is 1 to {max}")
            }
            Self::RejectAtHook { hook } => write!(f, "reject is not possible at hook {hook}"),
            Self::ResetWithoutTcp => {
                write!(
                    f,
                    "reject with tcp reset in a rule that is not about TCP only"
                )
            }
            Self::UnknownSetting { name } => {
                write!(
                    f,
                    "the description has no such setting or feed as {}",
                    Quoted(name)
                )
            }
            Self::ChainTypeAtHook {
                chain_type,
                hook,
                allowed,
            } => {
                let found = chain_type.keyword();
                write!(
                    f,
                    "a chain of type {found} is at hook {hook}, allowed is {allowed}"
                )
            }
            Self::NatPriority { found, conntrack } => write!(
                f,
                "priority of a chain of type nat is {found}, allowed is above {conntrack}"
            ),
            Self::NatPolicy => write!(f, "a chain of type nat has the chain policy drop"),
            Self::NatAtPlace {
                name,
                chain_type,
                hook,
                hooks,
            } => {
                let hooks: Vec<&str> = hooks.iter().map(|hook| hook.keyword()).collect();
                write!(
                    f,
                    "{name} in a chain of type {} at hook {hook}, allowed is type nat at {}",
                    chain_type.keyword(),
                    hooks.join(" and ")
                )
            }
            Self::PortsOfWhat => write!(f, "NAT of ports in a rule for no one protocol with ports"),
            Self::NotrackTooLate {
                hook,
                priority,
                conntrack,
            } => write!(
                f,
                "notrack at {hook} priority {priority} comes too late, allowed is prerouting and \
                 output up to {conntrack}"
            ),
            Self::TooHigh { field, found, max } => {
                write!(
                    f,
                    "{field} is compared with {found}, at most {max} makes sense"
                )
            }
            Self::EveryValue { field } => write!(f, "{field} is compared with every value"),
            Self::Mask { field, mask, known } => {
                write!(
                    f,
                    "mask of {field} is {mask:#x}, allowed are bits of {known:#x}"
                )
            }
            Self::OutsideMask { field, value, mask } => write!(
                f,
                "{field} is compared with {value:#x}, which has bits outside the mask {mask:#x}"
            ),
            Self::FieldsTogether { found, least, max } => {
                write!(f, "{found} fields together, allowed is {least} to {max}")
            }
            Self::FieldTwice { field } => write!(f, "{field} is named twice"),
            Self::NoElements => write!(f, "there is no element"),
            Self::ElementLength { found, fields } => {
                write!(f, "an element has {found} values, the fields are {fields}")
            }
            Self::NotOfField { field } => write!(f, "an element has a value that {field} has not"),
            Self::Overlap { one, other } => write!(f, "elements {one} and {other} overlap"),
            Self::Number {
                what,
                found,
                first,
                last,
            } => write!(f, "{what} is {found}, allowed is {first} to {last}"),
            Self::RejectCode { code, family } => {
                let known = icmp::unreachable(*family).iter();
                let known: Vec<String> = known.map(|(code, _)| code.to_string()).collect();
                write!(
                    f,
                    "reject with code {code}, allowed is {}",
                    known.join(", ")
                )
            }
            Self::NotDynamic { name } => {
                write!(f, "set {} has its elements written out", Quoted(name))
            }
            Self::LimitOnDelete => write!(f, "an element is deleted and limited at once"),
            Self::PlainAddresses => write!(f, "one address alone is the field of the elements"),
            Self::KeyTooWide { found, max } => {
                write!(
                    f,
                    "the fields together have {found} bytes, at most {max} fit"
                )
            }
            Self::Neighbours { first, last } => write!(
                f,
                "interfaces {} and {} have no name between them, which nft cannot list",
                Quoted(&format!("{first}*")),
                Quoted(&format!("{last}*"))
            ),
        }
    }
}
