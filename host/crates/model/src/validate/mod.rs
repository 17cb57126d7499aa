//! From a draft to a rule set, or to everything that is wrong with it.
//!
//! Pure and total: every defect is found in one go, in the order of the draft, and a rule set
//! that comes out will be taken by the kernel and means what it says.

mod defect;
mod goals;
mod graph;
mod matches;
mod sets;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use self::defect::Defect;
pub use self::goals::instantiate;
use crate::address::AddressSet;
use crate::diagnostic::{Diagnostic, Quoted};
use crate::draft::{self, Draft};
use crate::limits::{CHAINS_MAX, LIMIT_MAX, PRIORITY_MAX, RULE_PARTS_MAX, RULES_MAX, SETS_MAX};
use crate::names::{Name, Text};
use crate::ruleset::{Chain, Limit, Rule, Ruleset, Set, Statement, TimeUnit, Verdict};

/// The feeds that set expressions may name, with their addresses.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Vec<(String, AddressSet)>);

impl Feeds {
    /// The addresses of the feed `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AddressSet> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, addresses)| addresses)
    }
}

impl FromIterator<(String, AddressSet)> for Feeds {
    fn from_iter<I: IntoIterator<Item = (String, AddressSet)>>(feeds: I) -> Self {
        Self(feeds.into_iter().collect())
    }
}

/// The rule set that `draft` means, with the sets evaluated over `feeds`.
///
/// # Errors
/// Every defect of the draft, in its order.
pub fn validate(draft: &Draft, feeds: &Feeds) -> Result<Ruleset, Vec<Diagnostic>> {
    let mut validator = Validator::new(feeds);
    validator.sizes(draft);
    if validator.found.is_empty() {
        validator.all_sets(draft);
        let chains = validator.chains(draft);
        validator.places(draft);
        graph::check(draft, &mut validator.found);
        if validator.found.is_empty() {
            return Ok(Ruleset::new(validator.sets, chains));
        }
    }
    Err(validator.found)
}

struct Validator<'a> {
    feeds: &'a Feeds,
    /// The intervals that set expressions have gone through so far.
    set_work: usize,
    /// The sets that are well-formed so far; rules may name them.
    sets: Vec<Set>,
    found: Vec<Diagnostic>,
}

impl<'a> Validator<'a> {
    const fn new(feeds: &'a Feeds) -> Self {
        Self {
            feeds,
            set_work: 0,
            sets: Vec::new(),
            found: Vec::new(),
        }
    }
}

impl Validator<'_> {
    fn say(&mut self, subject: &str, defect: &Defect) {
        self.found.push(defect.of(subject));
    }

    /// Limits first: a draft that breaks one is not looked at any closer.
    fn sizes(&mut self, draft: &Draft) {
        let rules = draft.chains.iter().map(|chain| chain.rules.len()).sum();
        let counts = [
            ("sets", draft.sets.len(), SETS_MAX),
            ("chains", draft.chains.len(), CHAINS_MAX),
            ("rules", rules, RULES_MAX),
        ];
        for (what, found, max) in counts {
            if found > max {
                self.say("draft", &Defect::TooMany { what, found, max });
            }
        }
    }

    fn chains(&mut self, draft: &Draft) -> Vec<Chain> {
        let mut chains = Vec::with_capacity(draft.chains.len());
        for (position, chain) in draft.chains.iter().enumerate() {
            let subject = format!("chain {}", Quoted(&chain.name));
            if draft.chains[..position]
                .iter()
                .any(|earlier| earlier.name == chain.name)
            {
                self.say(&subject, &Defect::Duplicate { kind: "chain" });
            }
            let rules = self.rules(chain);
            match Name::new(&chain.name) {
                Ok(name) => chains.push(Chain {
                    name,
                    base: chain.base,
                    rules,
                }),
                Err(error) => self.say(&subject, &Defect::Name(error)),
            }
        }
        chains
    }

    /// Where base chains are attached.
    fn places(&mut self, draft: &Draft) {
        let bases: Vec<_> = draft
            .chains
            .iter()
            .filter_map(|chain| chain.base.map(|base| (chain, base)))
            .collect();
        if bases.is_empty() {
            self.say("draft", &Defect::NoBaseChain);
        }
        for (position, (chain, base)) in bases.iter().enumerate() {
            let subject = format!("chain {}", Quoted(&chain.name));
            if base.priority.unsigned_abs() > PRIORITY_MAX.unsigned_abs() {
                self.say(
                    &subject,
                    &Defect::Priority {
                        found: base.priority,
                        max: PRIORITY_MAX,
                    },
                );
            }
            // Which of two chains in the same place runs first depends on which was loaded last.
            let twin = bases[..position].iter().find(|(_, earlier)| {
                (earlier.hook, earlier.priority) == (base.hook, base.priority)
            });
            if let Some((twin, _)) = twin {
                let (hook, priority) = (base.hook, base.priority);
                self.say(
                    &subject,
                    &Defect::SamePlace {
                        hook,
                        priority,
                        other: twin.name.clone(),
                    },
                );
            }
        }
    }

    fn rules(&mut self, chain: &draft::Chain) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(chain.rules.len());
        for (index, rule) in chain.rules.iter().enumerate() {
            let subject = format!(
                "rule {} ({}) in chain {}",
                index + 1,
                Quoted(&rule.label),
                Quoted(&chain.name)
            );
            rules.extend(self.rule(rule, &subject));
        }
        rules
    }

    /// The rule, unless something is wrong with it.
    fn rule(&mut self, rule: &draft::Rule, subject: &str) -> Option<Rule> {
        let before = self.found.len();
        let parts = rule.matches.len() + rule.statements.len();
        if parts > RULE_PARTS_MAX {
            let what = "matches and statements";
            self.say(
                subject,
                &Defect::TooMany {
                    what,
                    found: parts,
                    max: RULE_PARTS_MAX,
                },
            );
            return None;
        }
        let label = Text::new(&rule.label)
            .map_err(|error| self.say(subject, &Defect::Label(error)))
            .ok();
        let mut matches = self.matches(&rule.matches, subject);
        let statements = self.statements(rule, subject);
        let rejects = statements.iter().any(|s| matches!(s, Statement::Reject(_)));
        matches::say_family_so_that_it_lasts(&mut matches, rejects);
        let whole = self.found.len() == before;
        label.filter(|_| whole).map(|label| Rule {
            label,
            matches,
            statements,
        })
    }

    fn statements(&mut self, rule: &draft::Rule, subject: &str) -> Vec<Statement> {
        if rule.statements.is_empty() {
            self.say(subject, &Defect::NoStatement);
        }
        let mut statements = Vec::with_capacity(rule.statements.len());
        for (index, statement) in rule.statements.iter().enumerate() {
            let statement = self.statement(statement, subject);
            let decides = matches!(
                statement,
                Some(Statement::Verdict(_) | Statement::Reject(_))
            );
            if decides && index + 1 < rule.statements.len() {
                self.say(subject, &Defect::AfterTheEnd);
            }
            statements.extend(statement);
        }
        statements
    }

    fn statement(&mut self, statement: &draft::Statement, subject: &str) -> Option<Statement> {
        Some(match statement {
            draft::Statement::Counter => Statement::Counter,
            draft::Statement::Limit(limit) => {
                self.limit(*limit, subject);
                Statement::Limit(*limit)
            }
            draft::Statement::Log { prefix, level } => {
                let prefix = match prefix.as_deref().map(Text::new).transpose() {
                    Ok(prefix) => prefix,
                    Err(error) => {
                        self.say(subject, &Defect::LogPrefix(error));
                        return None;
                    }
                };
                Statement::Log {
                    prefix,
                    level: *level,
                }
            }
            draft::Statement::Reject(reject) => Statement::Reject(*reject),
            draft::Statement::Accept => Statement::Verdict(Verdict::Accept),
            draft::Statement::Drop => Statement::Verdict(Verdict::Drop),
            draft::Statement::Continue => Statement::Verdict(Verdict::Continue),
            draft::Statement::Return => Statement::Verdict(Verdict::Return),
            // That the target exists is checked with the graph of all chains.
            draft::Statement::Jump(target) => {
                Statement::Verdict(Verdict::Jump(Name::new(target).ok()?))
            }
            draft::Statement::Goto(target) => {
                Statement::Verdict(Verdict::Goto(Name::new(target).ok()?))
            }
        })
    }

    fn limit(&mut self, limit: Limit, subject: &str) {
        let numbers = [
            ("rate", limit.rate, LIMIT_MAX),
            ("burst", limit.burst, burst_max(limit)),
        ];
        for (what, found, max) in numbers {
            if !(1..=max).contains(&found) {
                self.say(subject, &Defect::LimitNumber { what, found, max });
            }
        }
    }
}

/// The largest burst at this rate: the kernel counts the burst in nanoseconds, in 64 bits, and
/// answers "Value too large for defined data type" when they do not fit (`nft_limit_init`).
fn burst_max(limit: Limit) -> u32 {
    let seconds: u64 = match limit.per {
        TimeUnit::Second => 1,
        TimeUnit::Minute => 60,
        TimeUnit::Hour => 60 * 60,
        TimeUnit::Day => 24 * 60 * 60,
        TimeUnit::Week => 7 * 24 * 60 * 60,
    };
    let nanoseconds_each = seconds * 1_000_000_000 / u64::from(limit.rate.max(1));
    let fits = u64::MAX / nanoseconds_each.max(1);
    u32::try_from(fits).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
}

#[cfg(test)]
mod tests;
