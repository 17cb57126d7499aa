//! The goals of a configuration: each `[[goal]]`, or what is wrong with it.

use portreeve_model::address::{Prefix, PrefixError};
use portreeve_model::diagnostic::{Quoted, Said};
use portreeve_model::draft::Match;
use portreeve_model::goal::Quantifier;
use portreeve_model::packet::Hook;
use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Value};
use crate::inputs::goals::{Addresses, Packets, Source, StatedGoal, packets};

/// Goals, texts of packets in a goal, and sources of a goal, each. Ours: as many as a policy may
/// state.
const STATED_MAX: usize = 64;

/// Bytes in the name of a goal, which is shown in one line.
const NAME_BYTES_MAX: usize = 200;

/// The keys of a goal.
const KEYS: [&str; 4] = ["name", "packets", "from", "verdict"];

/// Those that must be there.
const REQUIRED: [&str; 3] = ["name", "packets", "verdict"];

/// What is said of the packets.
const VERDICTS: [(&str, Quantifier); 3] = [
    ("accept", Quantifier::AllAccepted),
    ("drop", Quantifier::NoneAccepted),
    ("accept-exactly", Quantifier::ExactlyTheseAccepted),
];

/// What `from` may be.
const FROM: &str = "`any`, `operator`, a feed, a setting of prefixes or a prefix, or `not` and one \
                    of these but `any`; or a list of them";

impl Reader<'_> {
    pub(super) fn goals(&mut self, value: &Value<'_>) -> Vec<StatedGoal> {
        let DeValue::Array(items) = value.get_ref() else {
            self.refuse("goal", value, "tables with the heading `[[goal]]`");
            return Vec::new();
        };
        if items.len() > STATED_MAX {
            let message = format!("found {} goals, at most {STATED_MAX} fit", items.len());
            let help = "join goals that say the same of other packets";
            self.say("C005", value.span().start, "goal", message, help);
            return Vec::new();
        }
        let mut goals = Vec::new();
        for item in items {
            if let Some(table) = self.table("goal", item) {
                let goal = self.goal(item.span().start, table, &goals);
                goals.extend(goal);
            }
        }
        goals
    }

    fn goal(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        earlier: &[StatedGoal],
    ) -> Option<StatedGoal> {
        let before = self.found.len();
        let (mut name, mut packets, mut quantifier) = (None, None, None);
        let mut from = Vec::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => name = self.name(value, earlier),
                "packets" => packets = self.packets(value),
                "verdict" => quantifier = self.verdict(value),
                "from" => from = self.from(value),
                _ => self.unknown(key, "goal", &KEYS),
            }
        }
        for key in REQUIRED {
            if !table.iter().any(|(given, _)| given.get_ref() == key) {
                let message = format!("the key `{key}` is missing");
                self.say(
                    "C006",
                    at,
                    "goal",
                    message,
                    "write all of name, packets and verdict",
                );
            }
        }
        let (hook, clauses) = packets.filter(|_| self.found.len() == before)?;
        let goal = StatedGoal {
            name: name?,
            place: self.place(at),
            hook,
            quantifier: quantifier?,
            clauses,
            from,
        };
        let defects = goal.defects().into_iter().map(|defect| (at, defect));
        self.found.extend(defects);
        Some(goal)
    }

    fn name(&mut self, value: &Value<'_>, earlier: &[StatedGoal]) -> Option<String> {
        let name = value.get_ref().as_str().unwrap_or_default();
        let plain = Said(name).to_string() == name;
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !plain {
            let allowed = format!("one plain line of 1 to {NAME_BYTES_MAX} bytes");
            self.refuse("goal.name", value, &allowed);
            return None;
        }
        if earlier.iter().any(|goal| goal.name() == name) {
            self.refuse("goal.name", value, "a name that no other goal has");
        }
        Some(name.to_owned())
    }

    /// One text, or a list of them for packets of several kinds.
    fn packets(&mut self, value: &Value<'_>) -> Option<(Hook, Vec<Vec<Match>>)> {
        let allowed = "a text such as `input tcp dport 22 ct new`, or a list of texts";
        let mut hook = None;
        let mut clauses = Vec::new();
        for (text, value) in self.texts("goal.packets", value, allowed)? {
            match packets(text) {
                Ok(Packets { hook: at, matches }) => {
                    let at = at.unwrap_or(Hook::Input);
                    if *hook.get_or_insert(at) != at {
                        self.refuse("goal.packets", value, "the hook of the first text");
                    }
                    clauses.push(matches);
                }
                Err(message) => {
                    let help = "write packets as in `input tcp dport 22 ct new`";
                    let at = value.span().start;
                    self.say("C012", at, "goal.packets", message, help);
                }
            }
        }
        hook.map(|hook| (hook, clauses))
    }

    fn verdict(&mut self, value: &Value<'_>) -> Option<Quantifier> {
        let known = VERDICTS.iter();
        let mut known = known.filter(|(word, _)| value.get_ref().as_str() == Some(*word));
        let quantifier = known.next().map(|(_, quantifier)| *quantifier);
        if quantifier.is_none() {
            let allowed = VERDICTS.map(|(word, _)| format!("`{word}`")).join(", ");
            self.refuse("goal.verdict", value, &allowed);
        }
        quantifier
    }

    /// Where the packets come from: one source, or a list of them.
    fn from(&mut self, value: &Value<'_>) -> Vec<Source> {
        let texts = self.texts("goal.from", value, FROM);
        let mut sources = Vec::new();
        for (text, value) in texts.into_iter().flatten() {
            match source(text) {
                Ok(source) => sources.push(source),
                Err(Some(error)) => {
                    let message = format!("found {}: {error}", Quoted(text));
                    let at = value.span().start;
                    self.say("C005", at, "goal.from", message, "change the value");
                }
                Err(None) => self.refuse("goal.from", value, FROM),
            }
        }
        sources
    }

    /// A text, or a list of at least one, each with where it stands.
    fn texts<'v, 'i>(
        &mut self,
        key: &str,
        value: &'v Value<'i>,
        allowed: &str,
    ) -> Option<Vec<(&'v str, &'v Value<'i>)>> {
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let texts = items.into_iter();
        let texts = texts.map(|item| Some((item.get_ref().as_str()?, item)));
        let texts: Option<Vec<_>> = texts.collect();
        let texts = texts.filter(|texts| (1..=STATED_MAX).contains(&texts.len()));
        if texts.is_none() {
            self.refuse(key, value, allowed);
        }
        texts
    }
}

/// Reads a source. The error is that of a prefix, when the text is meant to be one.
fn source(text: &str) -> Result<Source, Option<PrefixError>> {
    let (negated, word) = match text.strip_prefix("not ") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let of = match (word, word.parse::<Prefix>()) {
        ("any", _) if !negated => Addresses::Any,
        ("any" | "not", _) => return Err(None),
        ("operator", _) => Addresses::Operator,
        (_, Ok(prefix)) => Addresses::Prefix(prefix),
        (_, Err(PrefixError::NotAPrefix)) if !word.is_empty() && word.bytes().all(name) => {
            Addresses::Named(word.to_owned())
        }
        (_, Err(PrefixError::NotAPrefix)) => return Err(None),
        (_, Err(error)) => return Err(Some(error)),
    };
    Ok(Source { negated, of })
}

#[cfg(test)]
mod tests;
