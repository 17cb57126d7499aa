//! The table that says what became of each packet: wherever it comes by, its number is noted.
//!
//! The number stands in `ip id`, or in `ip6 flowlabel`. The table is loaded first, so that of chains
//! with one priority its own run last. What comes to its end is dropped there, and so is whatever the
//! machine answers: no packet changes what the next one meets.

use std::fmt::Write as _;

use portreeve_model::packet::{CtState, Hook};
use serde_json::Value;

use super::job::Seen;

/// The name of the table.
pub(super) const TABLE: &str = "portreeve_probe";

/// Numbers from here on are of packets that conntrack shall leave alone.
pub(super) const UNTRACKED: u16 = 1 << 15;

/// Where the number stands, in each family, with what the names of its sets end with.
const NUMBERS: [(char, &str); 2] = [('4', "ip id"), ('6', "ip6 flowlabel")];

/// Elements that a set can have: every number once.
const SET_SIZE: u32 = 65_535;

/// The comment of rules that count what could not be noted: the kernel may have no room at once.
const LOST: &str = "lost";

/// Something that is noted of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Note {
    Came,
    State(CtState),
    LeftPrerouting,
    Routed,
    Accepted,
}

impl Note {
    fn all() -> Vec<Self> {
        let mut all: Vec<Self> = CtState::ALL.map(Self::State).into();
        all.extend([
            Self::Came,
            Self::LeftPrerouting,
            Self::Routed,
            Self::Accepted,
        ]);
        all
    }

    /// The name of the set, without the family.
    const fn set(self) -> &'static str {
        match self {
            Self::Came => "came",
            Self::State(state) => state.keyword(),
            Self::LeftPrerouting => "left",
            Self::Routed => "routed",
            Self::Accepted => "accepted",
        }
    }

    fn add_to(self, seen: &mut Seen) {
        match self {
            Self::Came => seen.came = true,
            Self::State(state) => seen.state = Some(state as u8),
            Self::LeftPrerouting => seen.left_prerouting = true,
            Self::Routed => seen.routed = true,
            Self::Accepted => seen.accepted = true,
        }
    }
}

/// The table, as nft text.
pub(super) fn table() -> String {
    let mut text = format!("table inet {TABLE} {{\n");
    for note in Note::all() {
        for (family, number) in NUMBERS {
            let set = note.set();
            let _ = writeln!(
                text,
                "set {set}{family} {{ typeof {number}; size {SET_SIZE}; flags dynamic; }}"
            );
        }
    }
    text += &chain("came", (Hook::Prerouting, i32::MIN), &[Note::Came]);
    // Just before conntrack (-200), and just after it.
    text += "chain untracked { type filter hook prerouting priority -201;\n";
    for (_, number) in NUMBERS {
        let _ = writeln!(text, " {number} >= {UNTRACKED} notrack");
    }
    text += "}\n";
    let states = CtState::ALL.map(Note::State);
    text += &chain("states", (Hook::Prerouting, -199), &states);
    text += &chain(
        "left",
        (Hook::Prerouting, i32::MAX),
        &[Note::LeftPrerouting],
    );
    text += &chain("routed", (Hook::Input, i32::MIN), &[Note::Routed]);
    // Conntrack remembers a connection after every other chain: not these.
    text += &chain("accepted", (Hook::Input, i32::MAX - 1), &[Note::Accepted]);
    text += "chain answers { type filter hook output priority -2147483648; policy drop; }\n";
    text + "}\n"
}

/// A chain that takes notes.
fn chain(name: &str, (hook, priority): (Hook, i32), notes: &[Note]) -> String {
    let mut text =
        format!("chain {name} {{ type filter hook {hook} priority {priority}; policy accept;\n");
    for note in notes {
        let (when, verdict) = match note {
            Note::State(state) => (format!("ct state {} ", state.keyword()), "accept"),
            Note::Accepted => (String::new(), "drop"),
            Note::Came | Note::LeftPrerouting | Note::Routed => (String::new(), "accept"),
        };
        for (family, number) in NUMBERS {
            let set = note.set();
            let _ = writeln!(text, " {when}add @{set}{family} {{ {number} }} {verdict}");
        }
    }
    let _ = writeln!(text, " counter drop comment \"{LOST}\"\n}}");
    text
}

/// What nft is told so that the table has seen no packet.
pub(super) fn forget() -> String {
    let sets = Note::all().into_iter().flat_map(|note| {
        NUMBERS.map(|(family, _)| format!("flush set inet {TABLE} {}{family}\n", note.set()))
    });
    sets.collect()
}

/// What the table has seen.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// By number.
    pub(super) seen: Vec<Seen>,
    /// How often something could not be noted since there is the table.
    pub(super) lost: u64,
}

impl Notes {
    /// Reads nft's listing of it; none when it is no such listing.
    pub(super) fn read(listing: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(listing).ok()?;
        let mut notes = Self {
            seen: vec![Seen::default(); usize::from(u16::MAX) + 1],
            lost: 0,
        };
        for object in document.get("nftables")?.as_array()? {
            if let Some(set) = object.get("set") {
                notes.add(set)?;
            } else if let Some(rule) = object.get("rule")
                && rule.get("comment").is_some_and(|it| it == LOST)
            {
                let counters = rule.get("expr")?.as_array()?.iter();
                let packets = counters.filter_map(|it| it.pointer("/counter/packets")?.as_u64());
                notes.lost += packets.sum::<u64>();
            }
        }
        Some(notes)
    }

    fn add(&mut self, set: &Value) -> Option<()> {
        let name = set.get("name")?.as_str()?;
        let of_set = name.strip_suffix(['4', '6'])?;
        let note = Note::all().into_iter().find(|it| it.set() == of_set)?;
        let Some(elements) = set.get("elem") else {
            return Some(());
        };
        for number in elements.as_array()? {
            let number = usize::try_from(number.as_u64()?).ok()?;
            // The machine's own multicast has no number of ours.
            if let Some(seen) = self.seen.get_mut(number) {
                note.add_to(seen);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listing: &str, number: usize, expected: Option<(Seen, u64)>) {
        let notes = Notes::read(listing);
        let found = notes.map(|notes| (notes.seen[number], notes.lost));
        assert_eq!(found, expected, "{listing}");
    }

    #[test]
    fn notes_are_read_from_a_listing() {
        let seen = Seen {
            came: true,
            state: Some(CtState::New as u8),
            ..Seen::default()
        };
        let listing = r#"{"nftables": [
            {"metainfo": {}},
            {"set": {"name": "came4", "elem": [5, 70000]}},
            {"set": {"name": "new6", "elem": [5]}},
            {"set": {"name": "routed4"}},
            {"rule": {"comment": "lost", "expr": [{"counter": {"packets": 2}}, {"drop": null}]}},
            {"rule": {"expr": [{"counter": {"packets": 9}}]}}
        ]}"#;
        check(listing, 5, Some((seen, 2)));
        check(listing, 6, Some((Seen::default(), 2)));
        check("{}", 0, None);
        check("no listing", 0, None);
        check(r#"{"nftables": [{"set": {"name": "other"}}]}"#, 0, None);
    }
}
