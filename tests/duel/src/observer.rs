//! The table that says what became of each packet: after the last chain of every hook it notes the
//! numbers of those that came so far, and whatever the machine answers with is noted and kept in.
//!
//! The number of a packet stands in its `ip id`, or in its `ip6 flowlabel`, and in its sequence
//! numbers if it is TCP. It also says how the packet begins: see [`Number`].

use std::fmt::Write as _;
use std::io;

use portreeve_model::field::Field;
use portreeve_model::intervals::Interval;
use portreeve_model::packet::Hook;
use portreeve_model::tables::{
    Attachment, Base, Chain, ChainPolicy, ChainType, Expression, Match, Operand, Part, Rule, Table,
    TableFamily,
};

use crate::facts::Clock;
use crate::nftables::Nftables;

/// The name of the table.
pub const TABLE: &str = "observer";

/// The marks that packets can begin with, by the class of their number.
pub const MARKS: [u32; 4] = [0, 1, 0x10, 0xffff_ffff];

/// The mark of packets that this program sends itself, before it is taken away.
pub const SENT_MARK: u32 = 0x6475_656c;

/// What tells the packets of a round from each other.
///
/// Sixteen bits: the highest says that conntrack leaves the packet alone, the next two which of the
/// [`MARKS`] it begins with, and the rest counts. Number 0 is for packets that only prepare a round:
/// no rule under test sees them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Number(pub u16);

impl Number {
    /// The number of packets that only prepare a round.
    pub const PREPARING: Self = Self(0);

    /// How many packets of one class a round can have, and one.
    pub const PER_CLASS: u16 = 1 << 13;

    /// The number of packet `nth` of its class, counted from 1.
    #[must_use]
    pub const fn new(nth: u16, mark: u16, untracked: bool) -> Self {
        Self((nth % Self::PER_CLASS) | ((mark & 3) << 13) | ((untracked as u16) << 15))
    }

    /// Whether conntrack leaves the packet alone.
    #[must_use]
    pub const fn is_untracked(self) -> bool {
        self.0 >> 15 == 1
    }

    /// The mark it begins with.
    #[must_use]
    pub const fn mark(self) -> u32 {
        MARKS[(self.0 >> 13 & 3) as usize]
    }
}

/// Sets that hold the numbers of packets, and what they are numbers of.
const PASSED: [(Hook, &str, &str); 10] = [
    (Hook::Prerouting, "prerouting4", "ip id"),
    (Hook::Prerouting, "prerouting6", "ip6 flowlabel"),
    (Hook::Input, "input4", "ip id"),
    (Hook::Input, "input6", "ip6 flowlabel"),
    (Hook::Forward, "forward4", "ip id"),
    (Hook::Forward, "forward6", "ip6 flowlabel"),
    (Hook::Output, "output4", "ip id"),
    (Hook::Output, "output6", "ip6 flowlabel"),
    (Hook::Postrouting, "postrouting4", "ip id"),
    (Hook::Postrouting, "postrouting6", "ip6 flowlabel"),
];

/// Sets that hold the numbers of packets that the machine has answered. Its message quotes the
/// beginning of the packet, and its reset one of the packet's sequence numbers.
const ANSWERED: [(&str, &str); 3] = [
    ("unreachable4", "icmp code . @th,96,16"),
    ("unreachable6", "icmpv6 code . @th,80,16"),
    ("resets", "@th,32,16"),
];

/// Gives the packet what its number says, before conntrack sees it.
const BEGIN: &str = "chain begin {
 ip id >= 0x8000 notrack
 ip6 flowlabel >= 0x8000 notrack
 ip id & 0x6000 == 0x2000 meta mark set 1
 ip6 flowlabel & 0x6000 == 0x2000 meta mark set 1
 ip id & 0x6000 == 0x4000 meta mark set 0x10
 ip6 flowlabel & 0x6000 == 0x4000 meta mark set 0x10
 ip id & 0x6000 == 0x6000 meta mark set 0xffffffff
 ip6 flowlabel & 0x6000 == 0x6000 meta mark set 0xffffffff
}
";

/// The `ct mark` of connections that were begun with a hop limit of [`MARKING_HOP_LIMIT`].
pub const CONNECTION_MARK: u32 = 0x10;

/// Gives connections their mark. A hop is taken off before a packet is forwarded.
///
/// That a rule asks for connections also has conntrack run, whatever is under test.
const MARK_CONNECTIONS: &str = " ip id 0 ip ttl { 199, 200 } ct mark set 0x10
 ip6 flowlabel 0 ip6 hoplimit { 199, 200 } ct mark set 0x10
";

/// The hop limit that says so.
pub const MARKING_HOP_LIMIT: u8 = 200;

/// Notes what the machine answers.
const ANSWERS: &str = "chain answers {
 icmp type destination-unreachable add @unreachable4 { icmp code . @th,96,16 } drop
 icmpv6 type destination-unreachable add @unreachable6 { icmpv6 code . @th,80,16 } drop
 tcp flags & (rst | ack) == rst add @resets { @th,32,16 } drop
 tcp flags & (rst | ack) == rst | ack add @resets { @th,64,16 } drop
 icmp type destination-unreachable counter drop comment \"lost\"
 icmpv6 type destination-unreachable counter drop comment \"lost\"
 tcp flags & rst == rst counter drop comment \"lost\"
 drop
}
";

/// The comment of rules that count what could not be noted.
const LOST: &str = "lost";

/// The comment of rules that count what was: a listing of a set that the kernel rebuilds meanwhile
/// leaves elements out.
const NOTED: &str = "noted";

/// The table, as nft text. Its chains run before and after all others that can be under test.
#[must_use]
pub fn table() -> String {
    let mut text = format!("table inet {TABLE} {{\n");
    let sets = PASSED.iter().map(|(_, name, of)| (name, of));
    for (name, of) in sets.chain(ANSWERED.iter().map(|(name, of)| (name, of))) {
        let _ = writeln!(
            text,
            "set {name} {{ typeof {of}; size 65535; flags dynamic; }}"
        );
    }
    text += BEGIN;
    text += ANSWERS;
    let _ = write!(
        text,
        "chain arrives {{ type filter hook prerouting priority -450;
 jump begin
}}
chain sends {{ type filter hook output priority -500;
 meta mark != {SENT_MARK} jump answers
 meta mark set 0
 jump begin
}}
"
    );
    for hook in Hook::ALL {
        text += &last_chain(hook);
    }
    text + "}\n"
}

/// The chain after all others at a hook. A packet that cannot be noted, because the kernel has not
/// made room for it, comes to the last rule.
fn last_chain(hook: Hook) -> String {
    let mut text = format!("chain last_{hook} {{ type filter hook {hook} priority 490;\n");
    if matches!(hook, Hook::Input | Hook::Forward) {
        text += MARK_CONNECTIONS;
    }
    text += " ip id 0 accept\n ip6 flowlabel 0 accept\n";
    let verdict = match hook {
        Hook::Input | Hook::Postrouting => "drop",
        Hook::Prerouting | Hook::Forward | Hook::Output => "accept",
    };
    for (_, name, of) in PASSED.iter().filter(|(at, ..)| *at == hook) {
        let _ = writeln!(
            text,
            " add @{name} {{ {of} }} counter {verdict} comment \"{NOTED}\""
        );
    }
    let _ = writeln!(text, " counter {verdict} comment \"{LOST}\"\n}}");
    text
}

/// What the table does that rules under test can see, as the model says it.
#[must_use]
pub fn notrack() -> Table {
    let rule = |field: Field| Rule {
        handle: None,
        comment: None,
        parts: vec![
            Part::Match(Match {
                left: Expression::Field(field),
                negated: false,
                right: Operand::Numbers(Interval::new(0x8000, 0xffff).into_iter().collect()),
            }),
            Part::Notrack,
        ],
    };
    let chain = |hook: Hook| Chain {
        name: format!("begin_{hook}"),
        base: Some(Base {
            chain_type: ChainType::Filter,
            attachment: Attachment::Hook(hook),
            priority: -450,
            policy: ChainPolicy::Accept,
        }),
        rules: vec![rule(Field::IpId), rule(Field::Flowlabel)],
    };
    Table {
        family: TableFamily::Inet,
        name: TABLE.to_owned(),
        dormant: false,
        listed: false,
        sets: Vec::new(),
        chains: vec![chain(Hook::Prerouting), chain(Hook::Output)],
        unknown: Vec::new(),
    }
}

/// Forgets every packet: commands to nft.
#[must_use]
pub fn forget() -> String {
    let sets = PASSED.iter().map(|(_, name, _)| name);
    sets.chain(ANSWERED.iter().map(|(name, _)| name))
        .fold(String::new(), |text, name| {
            text + "flush set inet " + TABLE + " " + name + "\n"
        })
}

/// What became of the packets of a round.
#[derive(Clone, Debug)]
pub struct Observed {
    /// For each number, a bit for each hook that it passed.
    passed: Vec<u8>,
    /// The answers, in nft's words, sorted by number.
    answers: Vec<(Number, String)>,
    /// How much could not be noted since there is the table.
    pub lost: u64,
    /// How much was noted since there is the table.
    pub noted: u64,
    /// How much of it was listed.
    pub listed: u64,
    /// When it was.
    pub clock: Clock,
}

impl Observed {
    /// What the table has noted of packets that were sent then.
    ///
    /// # Errors
    /// When nft cannot list it.
    pub fn read(nft: &mut Nftables, clock: Clock) -> io::Result<Self> {
        let listing = nft.text(&format!("list table inet {TABLE}"))?;
        let mut observed = Self {
            passed: vec![0; 1 << 16],
            answers: Vec::new(),
            lost: counted(&listing, LOST),
            noted: counted(&listing, NOTED),
            listed: 0,
            clock,
        };
        for (name, elements) in sets(&listing) {
            if let Some((hook, ..)) = PASSED.iter().find(|(_, set, _)| *set == name) {
                for number in elements.split(',').filter_map(number) {
                    observed.listed += 1;
                    observed.passed[usize::from(number)] |= 1 << *hook as u8;
                }
            } else {
                observed.answered(name, elements);
            }
        }
        observed.answers.sort_unstable();
        Ok(observed)
    }

    fn answered(&mut self, name: &str, elements: &str) {
        for element in elements.split(',') {
            let (code, of) = match element.split_once(" . ") {
                Some((code, of)) => (code.trim(), of),
                None => ("", element),
            };
            let Some(of) = number(of) else { continue };
            let answer = match name {
                "unreachable4" => format!("icmp {code}"),
                "unreachable6" => format!("icmpv6 {code}"),
                _ => "tcp reset".to_owned(),
            };
            self.answers.push((Number(of), answer));
        }
    }

    /// Whether the packet passed every chain of the hook.
    #[must_use]
    pub fn passed(&self, number: Number, hook: Hook) -> bool {
        self.passed[usize::from(number.0)] >> hook as u8 & 1 == 1
    }

    /// What the machine answered to it.
    #[must_use]
    pub fn answer(&self, number: Number) -> Option<&str> {
        let at = self.answers.binary_search_by_key(&number, |(of, _)| *of);
        at.ok().map(|at| self.answers[at].1.as_str())
    }
}

/// What the rules have counted that have this comment.
fn counted(listing: &str, comment: &str) -> u64 {
    let comment = format!("comment \"{comment}\"");
    let rules = listing.lines().filter(|line| line.ends_with(&comment));
    let packets = rules.filter_map(|rule| {
        let (_, rest) = rule.split_once("counter packets ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    });
    packets.sum()
}

/// Every set of a listing that has elements, with their text.
fn sets(listing: &str) -> impl Iterator<Item = (&str, &str)> {
    listing.split("\tset ").skip(1).filter_map(|set| {
        let (name, rest) = set.split_once(' ')?;
        let (_, rest) = rest.split_once("elements = {")?;
        let (elements, _) = rest.split_once('}')?;
        Some((name, elements))
    })
}

fn number(text: &str) -> Option<u16> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
