//! Whether a policy's description of itself makes sense. Everything wrong is said at once.

use std::collections::BTreeSet;

use portreeve_model::description::{Constraint, Description, SettingSpec};
use portreeve_model::diagnostic::{Diagnostic, Quoted, Said};
use portreeve_model::goal::Clause;
use portreeve_model::inputs::Value;
use portreeve_model::limits::NAME_BYTES_MAX;

use super::convert::BadDefault;
use super::engine::{DESCRIBED, ENTRIES, LINE_BYTES};

/// One thing that is wrong with a description.
enum Defect {
    Name,
    Duplicate,
    Line {
        what: &'static str,
        bytes: usize,
    },
    TooMany {
        what: &'static str,
        found: usize,
        max: usize,
    },
    Constraint(String),
    Default(String),
    Reference {
        name: String,
        wanted: &'static str,
    },
}

/// The description, or all that is wrong with it.
pub(super) fn check(description: Description) -> Result<Description, Vec<Diagnostic>> {
    let mut checker = Checker {
        description: &description,
        found: Vec::new(),
    };
    checker.counts();
    if checker.found.is_empty() {
        checker.names();
        checker.lines();
        checker.settings();
        checker.goals();
    }
    let found = checker.found;
    if found.is_empty() {
        Ok(description)
    } else {
        Err(found)
    }
}

/// The diagnostic of a default that could not even be read.
pub(super) fn bad_default(bad: &BadDefault) -> Diagnostic {
    let subject = format!("setting {}", Quoted(&bad.setting));
    Defect::Default(bad.error.to_string()).of(&subject)
}

struct Checker<'a> {
    description: &'a Description,
    found: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn say(&mut self, subject: &str, defect: &Defect) {
        self.found.push(defect.of(subject));
    }

    /// Limits first: a description that breaks one is not looked at any closer.
    fn counts(&mut self) {
        let of = self.description;
        let mut counts = vec![
            ("settings", of.settings.len(), DESCRIBED),
            ("feeds", of.feeds.len(), DESCRIBED),
            ("goals", of.goals.len(), DESCRIBED),
        ];
        for goal in &of.goals {
            counts.push(("clauses in one goal", goal.clauses.len(), DESCRIBED));
            let matches = goal.clauses.iter().map(|clause| clause.matches.len());
            counts.push((
                "matches in one clause",
                matches.max().unwrap_or(0),
                DESCRIBED,
            ));
        }
        for setting in &of.settings {
            if let Constraint::OneOf(choices) = &setting.constraint {
                counts.push(("choices of one setting", choices.len(), DESCRIBED));
            }
            let entries = match &setting.default {
                Value::Ports(ports) => ports.len(),
                Value::Prefixes(prefixes) => prefixes.len(),
                Value::Boolean(_) | Value::Integer(_) | Value::Port(_) | Value::Choice(_) => 0,
            };
            counts.push(("entries in one default", entries, ENTRIES));
        }
        for (what, found, max) in counts {
            if found > max {
                self.say("description", &Defect::TooMany { what, found, max });
            }
        }
    }

    fn names(&mut self) {
        let of = self.description;
        // Goals refer to settings and feeds alike, so no two of them may share a name.
        let settings = of.settings.iter().map(|setting| ("setting", &setting.name));
        let feeds = of.feeds.iter().map(|feed| ("feed", &feed.name));
        let mut seen = BTreeSet::new();
        for (kind, name) in settings.chain(feeds) {
            let subject = format!("{kind} {}", Quoted(name));
            if !is_name(name) {
                self.say(&subject, &Defect::Name);
            }
            if !seen.insert(name) {
                self.say(&subject, &Defect::Duplicate);
            }
        }
        if !is_name(&of.name) {
            self.say(&format!("policy {}", Quoted(&of.name)), &Defect::Name);
        }
    }

    /// Texts that are shown in one line.
    fn lines(&mut self) {
        let of = self.description;
        let settings = of
            .settings
            .iter()
            .map(|setting| ("help of a setting", &setting.help));
        let feeds = of.feeds.iter().map(|feed| ("help of a feed", &feed.help));
        let goals = of.goals.iter().map(|goal| ("name of a goal", &goal.name));
        let choices = of
            .settings
            .iter()
            .flat_map(|setting| match &setting.constraint {
                Constraint::OneOf(choices) => choices.as_slice(),
                Constraint::None | Constraint::Between { .. } | Constraint::Entries { .. } => &[],
            });
        let choices = choices.map(|choice| ("choice of a setting", choice));
        let whole = [("version", &of.version), ("summary", &of.summary)];
        let lines = whole
            .into_iter()
            .chain(settings)
            .chain(feeds)
            .chain(goals)
            .chain(choices);
        for (what, text) in lines {
            let plain = Said(text).to_string() == *text;
            if text.is_empty() || text.len() > LINE_BYTES || !plain {
                let bytes = text.len();
                self.say("description", &Defect::Line { what, bytes });
            }
        }
    }

    fn settings(&mut self) {
        for setting in &self.description.settings {
            let subject = format!("setting {}", Quoted(&setting.name));
            if let Some(why) = bad_constraint(setting) {
                self.say(&subject, &Defect::Constraint(why));
            } else if let Some(why) = unfit_default(setting) {
                self.say(&subject, &Defect::Default(why));
            }
        }
    }

    fn goals(&mut self) {
        for goal in &self.description.goals {
            let subject = format!("goal {}", Quoted(&goal.name));
            for clause in &goal.clauses {
                self.references(clause, &subject);
            }
        }
    }

    fn references(&mut self, clause: &Clause, subject: &str) {
        let of = self.description;
        let default = |name: &str| {
            let setting = of.settings.iter().find(|setting| setting.name == name);
            setting.map(|setting| &setting.default)
        };
        let when = clause.when.as_deref();
        let ports = clause.dport_setting.as_ref().map(|(_, name)| name.as_str());
        let from = clause.saddr_from.as_deref();
        let not_from = clause.saddr_not_from.as_deref();
        let is_source = |name: &str| {
            matches!(default(name), Some(Value::Prefixes(_)))
                || of.feeds.iter().any(|feed| feed.name == name)
        };
        let source = "feed or setting of prefixes";
        let references = [
            (
                when,
                "boolean setting",
                when.map(default)
                    .map(|value| matches!(value, Some(Value::Boolean(_)))),
            ),
            (
                ports,
                "setting of ports",
                ports
                    .map(default)
                    .map(|value| matches!(value, Some(Value::Port(_) | Value::Ports(_)))),
            ),
            (from, source, from.map(is_source)),
            (not_from, source, not_from.map(is_source)),
        ];
        for (name, wanted, known) in references {
            if let (Some(name), Some(false)) = (name, known) {
                let name = name.to_owned();
                self.say(subject, &Defect::Reference { name, wanted });
            }
        }
    }
}

/// Lower-case letters, digits and `-`.
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(letter)
}

/// Why no value could satisfy the constraint, or none of this type.
fn bad_constraint(setting: &SettingSpec) -> Option<String> {
    match (&setting.constraint, &setting.default) {
        (Constraint::None, Value::Choice(_)) => Some("a choice needs its list of choices".into()),
        (Constraint::None, _) => None,
        (Constraint::Between { min, max }, Value::Integer(_)) => {
            (min > max).then(|| format!("{min} to {max} is no range"))
        }
        (Constraint::Entries { min, max }, Value::Ports(_) | Value::Prefixes(_)) => {
            (min > max).then(|| format!("{min} to {max} entries is no range"))
        }
        (Constraint::OneOf(_), Value::Choice(_)) => None,
        (Constraint::Between { .. }, _) => Some("only an integer lies between two numbers".into()),
        (Constraint::Entries { .. }, _) => Some("only a list has entries".into()),
        (Constraint::OneOf(_), _) => Some("only a choice has choices".into()),
    }
}

/// Why the default could not be given by an operator either.
fn unfit_default(setting: &SettingSpec) -> Option<String> {
    let malformed = match &setting.default {
        Value::Port(0) => Some("port 0 does not exist"),
        Value::Ports(ports) => {
            let whole = ports
                .iter()
                .all(|range| *range.start() > 0 && !range.is_empty());
            let sorted = ports.windows(2).all(|pair| pair[0].end() < pair[1].start());
            (!whole || !sorted).then_some("its ports are not sorted and disjoint, from 1")
        }
        Value::Prefixes(prefixes) => {
            let apart = prefixes.windows(2).all(|pair| {
                pair[0] < pair[1]
                    && (pair[0].family() != pair[1].family()
                        || pair[0].interval().last() < pair[1].interval().first())
            });
            (!apart).then_some("its prefixes are not sorted and disjoint")
        }
        Value::Boolean(_) | Value::Integer(_) | Value::Port(_) | Value::Choice(_) => None,
    };
    malformed
        .map(str::to_owned)
        .or_else(|| setting.constraint.breach(&setting.default))
}

impl Defect {
    fn of(&self, subject: &str) -> Diagnostic {
        let (code, message, help) = self.said();
        let (subject, help) = (subject.to_owned(), help.to_owned());
        Diagnostic {
            code,
            subject,
            message,
            help,
        }
    }

    fn said(&self) -> (&'static str, String, &'static str) {
        match self {
            Self::Name => (
                "W040",
                format!("name is not 1 to {NAME_BYTES_MAX} lower-case letters, digits and `-`"),
                "rename it",
            ),
            Self::Duplicate => (
                "W041",
                "another setting or feed has the same name".to_owned(),
                "give each its own name",
            ),
            Self::Line { what, bytes } => (
                "W042",
                format!(
                    "{what} is {bytes} bytes long; allowed is one plain line of 1 to {LINE_BYTES}"
                ),
                "say it in one short line",
            ),
            Self::TooMany { what, found, max } => (
                "W043",
                format!("{found} {what}, at most {max} fit"),
                "leave some out, or use a feed for long lists",
            ),
            Self::Constraint(why) => (
                "W044",
                format!("no value can satisfy the constraint: {why}"),
                "correct the constraint",
            ),
            Self::Default(why) => (
                "W045",
                format!("the default is not allowed: {why}"),
                "choose another default",
            ),
            Self::Reference { name, wanted } => (
                "W046",
                format!("there is no {wanted} called {}", Quoted(name)),
                "name one of the same description",
            ),
        }
    }
}
