//! Random rule sets as nft text, in every construct that the model evaluates exactly.
//!
//! Nothing here knows how the model says things: what nft makes of a text is for nft to decide.

pub mod actions;
pub mod aim;
mod concatenation;
mod connection;
mod keys;
pub mod matches;
mod nat;
pub mod numeric;
pub mod sets;
mod surroundings;
pub mod theme;
mod transport;
pub mod values;

use std::fmt::Write as _;

use portreeve_model::address::Family;
use portreeve_model::packet::Hook;

use self::actions::Action;
use self::aim::{Wish, Wishes};
use self::sets::NamedSet;
use self::theme::{Place, Theme};
use crate::random::Random;

/// A rule set.
#[derive(Clone, Debug)]
pub struct Ruleset {
    /// Its tables, in the order in which they are registered.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// nft's word for its family.
    pub family: &'static str,
    /// Its name.
    pub name: String,
    /// Its sets and maps.
    pub sets: Vec<NamedSet>,
    /// Its chains; each is named by its position.
    pub chains: Vec<Chain>,
}

/// A chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Where its rules stand.
    pub place: Place,
    /// What makes it a base chain, as nft text.
    pub base: Option<String>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it says, piece by piece.
    pub parts: Vec<String>,
    /// What it asks of a packet.
    pub wishes: Vec<Wishes>,
    /// The chains that it can lead to, and what leads a packet there.
    pub leads_to: Vec<(usize, Wish)>,
    /// The constructs that it shows.
    pub constructs: Vec<&'static str>,
}

const BOTH: &[Family] = &[Family::Ip, Family::Ip6];

/// The families of tables, with the packets that they see.
const FAMILIES: [(&str, &[Family]); 4] = [
    ("inet", BOTH),
    ("inet", BOTH),
    ("ip", &[Family::Ip]),
    ("ip6", &[Family::Ip6]),
];

/// Priorities of base chains: the ones with names, and some beside them.
const PRIORITIES: [i32; 12] = [-300, -250, -150, -101, -10, 0, 0, 0, 0, 10, 50, 300];

/// What goes on or not by something that is no part of the packet.
const CHANCES: [(&str, &str); 7] = [
    ("limit rate 10/second", "limit"),
    ("limit rate over 5/minute burst 3 packets", "limit"),
    ("limit rate 100 bytes/second", "limit"),
    ("ct count over 3", "ct count"),
    ("quota over 500 bytes", "quota"),
    ("quota 300 bytes", "quota"),
    ("numgen random mod 2 0", "numgen"),
];

/// What tells somebody of a packet, and nothing else.
const LOGS: [&str; 4] = [
    "log",
    "log prefix \"duel \" level debug",
    "log prefix \"duel \" flags all",
    "log group 7 snaplen 64",
];

/// A random rule set.
#[must_use]
pub fn draw(random: &mut Random) -> Ruleset {
    let tables = (0..=random.up_to(3)).map(|index| table(random, index));
    Ruleset {
        tables: tables.collect(),
    }
}

fn table(random: &mut Random, index: usize) -> Table {
    let (family, families) = random.pick(&FAMILIES);
    let mut chains: Vec<Chain> = Vec::new();
    for _ in 0..=random.up_to(2) {
        let hook = random.pick(&[
            Hook::Input,
            Hook::Input,
            Hook::Input,
            Hook::Input,
            Hook::Input,
            Hook::Forward,
            Hook::Forward,
            Hook::Prerouting,
            Hook::Output,
            Hook::Postrouting,
        ]);
        let place = Place {
            families,
            hook,
            priority: random.pick(&PRIORITIES),
            nat: false,
        };
        group(random, place, &mut chains);
    }
    if random.one_in(6) {
        let place = Place {
            families,
            hook: random.pick(&[
                Hook::Prerouting,
                Hook::Prerouting,
                Hook::Output,
                Hook::Input,
                Hook::Postrouting,
            ]),
            priority: random.pick(&[-100, -50, 0, 0, 100]),
            nat: true,
        };
        group(random, place, &mut chains);
    }
    let sets = (0..random.up_to(3)).map(|nth| sets::draw(random, families, nth));
    let mut sets: Vec<NamedSet> = sets.collect();
    if random.one_in(6) {
        let make = random.pick(&[sets::dynamic, sets::dynamic, sets::counting]);
        sets.push(make(random.pick(families)));
    }
    let mut table = Table {
        family,
        name: format!("t{index}"),
        sets,
        chains,
    };
    fill(random, &mut table);
    table
}

/// A base chain or two, with regular chains that only they lead to.
fn group(random: &mut Random, place: Place, chains: &mut Vec<Chain>) {
    for nth in 0..1 + random.up_to(6) {
        let base = (nth == 0 || nth == 1 && random.one_in(4)).then(|| {
            let policy = random.pick(&["accept", "accept", "drop"]);
            let kind = match place.hook {
                _ if place.nat => "nat",
                Hook::Output if random.one_in(3) => "route",
                _ => "filter",
            };
            let Place { hook, priority, .. } = place;
            format!("type {kind} hook {hook} priority {priority}; policy {policy};")
        });
        chains.push(Chain {
            place,
            base,
            rules: Vec::new(),
        });
    }
}

/// Writes rules into the chains of a table: each may lead to later ones of its own group.
fn fill(random: &mut Random, table: &mut Table) {
    let chains = &table.chains;
    let bases: Vec<bool> = chains.iter().map(|chain| chain.base.is_some()).collect();
    let mut end = chains.len();
    let (mut written, mut objects) = (Vec::new(), Vec::new());
    for at in (0..chains.len()).rev() {
        let targets: Vec<usize> = (at + 1..end).filter(|other| !bases[*other]).collect();
        let most = if bases[at] { 10 } else { 5 };
        let place = chains[at].place;
        let mut rules = Vec::new();
        for _ in 0..random.up_to(most) {
            let (rule, object) = rule(random, &place, &targets, &table.sets);
            rules.push(rule);
            objects.extend(object);
        }
        written.push(rules);
        // The first chain of a group is a base chain.
        let begins = bases[at] && !(at > 0 && bases[at - 1] && chains[at - 1].place == place);
        if begins {
            end = at;
        }
    }
    for (chain, rules) in table.chains.iter_mut().zip(written.into_iter().rev()) {
        chain.rules = rules;
    }
    table.sets.extend(objects);
}

/// A random rule, and what its table must have for it.
fn rule(
    random: &mut Random,
    place: &Place,
    targets: &[usize],
    sets: &[NamedSet],
) -> (Rule, Option<NamedSet>) {
    let mut rule = Rule {
        parts: Vec::new(),
        wishes: Vec::new(),
        leads_to: Vec::new(),
        constructs: Vec::new(),
    };
    let theme = Theme::draw(random, *place);
    if random.one_in(60) {
        return (alone(random, place), None);
    }
    let number = random.pick(&[0, 1, 1, 1, 2, 2, 3]);
    let mut parts = Vec::new();
    let mut say = |words: &str| parts.push(words.to_owned());
    let mut after_join = false;
    for _ in 0..number {
        if random.one_in(8) {
            say("counter");
        }
        if random.one_in(60) {
            say(random.pick(&LOGS));
            rule.constructs.push("log");
        }
        if random.one_in(40) {
            let (chance, construct) = random.pick(&CHANCES);
            say(chance);
            rule.constructs.push(construct);
        }
        let asked = match sets {
            [] => None,
            _ if random.one_in(3) => random.pick(sets).asked(random, &theme),
            _ => None,
        };
        let drawn = asked.unwrap_or_else(|| matches::draw(random, &theme));
        // nft 1.0.6 lists `<` and then `>` as a range of one field, whatever the fields are, and
        // joins `!=` of neighbouring fields into one that fails only if both are equal.
        let joins = drawn.text.contains(['<', '>', '!']);
        if joins && after_join {
            say("counter");
        }
        after_join |= joins;
        say(&drawn.text);
        rule.wishes.push(drawn.wishes);
        rule.constructs.push(drawn.construct);
    }
    let Action {
        text: action,
        construct,
        wishes,
        leads_to,
        object,
    } = actions::draw(random, &theme, targets);
    say("counter");
    // nft 1.0.6 lists no kind of a reject after a match on the link layer.
    let hidden = rule.constructs.contains(&"ethernet") && action.starts_with("reject with");
    say(if hidden { "reject" } else { &action });
    rule.parts = parts;
    rule.wishes.extend(wishes);
    rule.leads_to = leads_to;
    rule.constructs.push(construct);
    (rule, object)
}

/// A rule that asks for the kind of an interface and for nothing else: before an address nft leaves
/// it out of what it lists, or refuses it.
fn alone(random: &mut Random, place: &Place) -> Rule {
    let asked = surroundings::hardware(random, place);
    let (verdict, construct) = random.pick(&[
        ("accept", "accept"),
        ("drop", "drop"),
        ("meta mark set 0x10", "set mark"),
    ]);
    Rule {
        parts: [&asked.text, "counter", verdict].map(str::to_owned).into(),
        wishes: vec![asked.wishes],
        leads_to: Vec::new(),
        constructs: vec![asked.construct, construct],
    }
}

impl Ruleset {
    /// The rule set as nft reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            let _ = writeln!(text, "table {} {} {{", table.family, table.name);
            for set in &table.sets {
                text += &set.declaration();
            }
            for (index, chain) in table.chains.iter().enumerate() {
                let _ = writeln!(text, " chain c{index} {{");
                if let Some(base) = &chain.base {
                    let _ = writeln!(text, "  {base}");
                }
                for rule in &chain.rules {
                    let _ = writeln!(text, "  {}", rule.parts.join(" "));
                }
                text += " }\n";
            }
            text += "}\n";
        }
        for table in &self.tables {
            let name = format!("{} {}", table.family, table.name);
            let additions = table.sets.iter().flat_map(|set| set.additions(&name));
            additions.for_each(|line| text += &line);
        }
        text
    }

    /// The rule at a place: table, chain and position as nft lists them.
    #[must_use]
    pub fn rule(&self, family: &str, table: &str, chain: &str, index: usize) -> Option<&Rule> {
        let named = |it: &&Table| it.family == family && it.name == table;
        let table = self.tables.iter().find(named)?;
        let chain = chain.strip_prefix('c')?.parse::<usize>().ok()?;
        table.chains.get(chain)?.rules.get(index)
    }
}
