//! What is sent to nft: commands that the kernel takes all together or not at all.

use std::fmt;
use std::io;

use portreeve_model::names::{Name, Text};
use portreeve_model::ruleset::{Contents, FieldSet, Set};
use serde_json::Value;

use crate::{TABLE, elements, lower, words};

/// Commands in order. nft sends them to the kernel in one batch, so either all are in force
/// afterwards or none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transaction(Vec<Command>);

/// One command, and what it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    subject: Subject,
    json: String,
}

/// What a command is about, in our own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The table `inet portreeve`.
    Table,
    /// A set.
    Set(Name),
    /// A chain.
    Chain(Name),
    /// A rule.
    Rule {
        /// The chain it is in.
        chain: Name,
        /// Its label.
        label: Text,
    },
    /// The chain policy of a chain of this name, as a rule.
    ChainPolicy(Name),
}

const HEAD: &str = "{\"nftables\":[";
const TAIL: &str = "]}";

impl Transaction {
    /// The commands, in the order in which the kernel takes them.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.0
    }

    /// The first `count` commands: a transaction by itself, so that whoever wants to know which
    /// command the kernel refuses can halve the question with `nft --check`.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Self {
        Self(self.0.iter().take(count).cloned().collect())
    }

    /// The transaction as `nft -j -f -` reads it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let bytes: usize = self.0.iter().map(|command| command.json.len() + 1).sum();
        let mut out = Vec::with_capacity(HEAD.len() + bytes + TAIL.len());
        self.write_json(&mut out)
            .expect("writing to memory does not fail");
        String::from_utf8(out).expect("joined from texts")
    }

    /// Writes what [`Self::to_json`] returns, without a copy of it in memory.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(HEAD.as_bytes())?;
        for (index, command) in self.0.iter().enumerate() {
            let separator: &[u8] = if index > 0 { b"," } else { b"" };
            out.write_all(separator)?;
            out.write_all(command.json.as_bytes())?;
        }
        out.write_all(TAIL.as_bytes())
    }

    /// Adds the commands of another transaction after those of this one.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn push(&mut self, subject: Subject, command: &Value) {
        let json = command.to_string();
        self.0.push(Command { subject, json });
    }

    /// Adds a set of what fields hold together, called `name`.
    pub(crate) fn push_field_set(&mut self, set: &FieldSet, name: &str) {
        let fields = set.fields();
        let object = match set.contents() {
            Contents::Elements(elements) => {
                let elements = elements.iter().map(|key| lower::key(fields, key));
                words::field_set(name, fields, elements.collect())
            }
            Contents::Dynamic { timeout, size } => {
                words::dynamic_set(name, fields, *timeout, *size)
            }
        };
        self.push(Subject::Set(set.name().clone()), &words::add(object));
    }

    /// Adds a set, called `name`, with its elements inline: a separate `add element` makes nft list the set from
    /// the kernel first, in quadratic time.
    pub(crate) fn push_set(&mut self, set: &Set, name: &str) {
        self.push(
            Subject::Set(set.name().clone()),
            &words::add(words::set(name, set.family())),
        );
        // nft takes no `elem` that is empty.
        if let (Some(command), false) = (self.0.last_mut(), set.elements().is_empty()) {
            let end = "}}}";
            assert!(
                command.json.ends_with(end),
                "a set is an object in a command in an object"
            );
            command.json.truncate(command.json.len() - end.len());
            command.json.push_str(",\"elem\":");
            elements::write(&mut command.json, set.family(), set.elements());
            command.json.push_str(end);
        }
    }
}

impl Command {
    /// What the command is about.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The command as nft reads it.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// ``rule `web` in chain `input` ``
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => write!(f, "table `inet {TABLE}`"),
            Self::Set(name) => write!(f, "set `{name}`"),
            Self::Chain(name) => write!(f, "chain `{name}`"),
            Self::Rule { chain, label } => write!(f, "rule `{label}` in chain `{chain}`"),
            Self::ChainPolicy(chain) => write!(f, "chain policy of chain `{chain}`"),
        }
    }
}
