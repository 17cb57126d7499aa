//! Proofs, who reaches what, and what a change opens, for people.

use std::fmt::Write as _;

use portreeve_model::address::Family;
use portreeve_model::diagnostic::Quoted;
use portreeve_verify::{
    Change, Class, Direction, Exposure, OverBudget, Protocol, Reach, Service, Source, Way, Why,
};

use super::Paint;
use super::explain::addresses;
use crate::pipeline::Candidate;
use crate::probe::Probed;
use crate::proofs::{Changes, DeadRule, Outlook, Sides};
use crate::report::Difference;
use crate::report::proofs::{finding, way_name};

/// Classes of packets that are shown of one change; of more, only that there are some.
const CLASSES_SHOWN: usize = 8;

/// Columns of the name of a service.
const SERVICE_WIDTH: usize = 34;

/// Columns of a class of sources, at most.
const SOURCE_WIDTH: usize = 18;

/// Every goal, with whether it holds.
pub(super) fn proofs(candidate: &Candidate, paint: &Paint) -> String {
    let mut out = String::new();
    for proof in candidate.proofs() {
        let name = Quoted(&proof.goal.name);
        let _ = match finding(proof) {
            None if proof.goal.is_switched_off() => {
                writeln!(out, "proof     {name}: about no packet with these settings")
            }
            None => writeln!(
                out,
                "proof     {name}: {}",
                paint.good("holds for every packet")
            ),
            Some(finding) => {
                let word = paint.bad(finding.word);
                writeln!(out, "proof     {name}: {word}, {}", finding.why)
            }
        };
    }
    out
}

/// Who reaches what, what changes, and which rules do nothing.
pub(super) fn outlook(outlook: &Outlook, paint: &Paint) -> String {
    let mut out = told_exposure(&outlook.exposure, paint);
    match &outlook.dead {
        Ok(rules) => rules.iter().for_each(|rule| out.push_str(&dead(rule))),
        Err(over) => out.push_str(&not_told("dead", over)),
    }
    match &outlook.changes {
        None => {}
        Some(Ok(changes)) => {
            let title = "changes   of what is in force in table inet portreeve".to_owned();
            out.push_str(&self::changes(&title, changes, paint));
        }
        Some(Err(over)) => out.push_str(&not_told("changes", over)),
    }
    out
}

/// Who reaches what, or why that is not told.
pub(super) fn told_exposure(found: &Result<Exposure, OverBudget>, paint: &Paint) -> String {
    match found {
        Ok(exposure) => self::exposure(exposure, paint),
        Err(over) => not_told("exposure", over),
    }
}

/// What two rule sets do otherwise.
pub(super) fn difference(difference: &Difference, paint: &Paint) -> String {
    let Difference { before, after, .. } = difference;
    let title = format!("changes   from {before} to {after}");
    match &difference.changes {
        Ok(changes) => self::changes(&title, changes, paint),
        Err(over) => not_told("changes", over),
    }
}

/// What a kernel did to a rule set that was tried on it.
pub(super) fn probed(probed: &Probed, paint: &Paint) -> String {
    let Probed {
        sent,
        agreed,
        not_probed,
        differences,
    } = probed;
    let said = format!("{agreed} of {sent} packets did in the kernel what is proved of them");
    let said = if differences.is_empty() {
        paint.good(&said)
    } else {
        paint.bad(&said)
    };
    let mut out = format!("probed    {said}\n");
    for (obstacle, count) in not_probed {
        let _ = writeln!(out, "          {count} not tried: {obstacle}");
    }
    out
}

fn not_told(what: &str, over: &OverBudget) -> String {
    format!("{what:<9} not told: {over}\n")
}

/// The table of services and sources.
fn exposure(exposure: &Exposure, paint: &Paint) -> String {
    let mut out = String::from(
        "exposure  who may begin a conversation, from outside, past table inet portreeve\n",
    );
    if exposure.services.is_empty() {
        out.push_str("          nobody\n");
        return out;
    }
    let names: Vec<String> = exposure
        .sources
        .iter()
        .map(|it| source(it, exposure))
        .collect();
    let widths: Vec<usize> = names
        .iter()
        .map(|name| name.chars().count().max(7))
        .collect();
    let mut families = format!("  {:SERVICE_WIDTH$}", "");
    let mut header = families.clone();
    let mut last = None;
    for ((of, name), width) in exposure.sources.iter().zip(&names).zip(&widths) {
        let family = if last == Some(of.family) {
            ""
        } else {
            of.family.nfproto()
        };
        last = Some(of.family);
        let _ = write!(families, "  {family:<width$}");
        let _ = write!(header, "  {name:<width$}");
    }
    let _ = writeln!(out, "{}", families.trim_end());
    let _ = writeln!(out, "{}", header.trim_end());
    for service in &exposure.services {
        let name = cut(&self::service(service), SERVICE_WIDTH);
        let mut row = format!("  {name:SERVICE_WIDTH$}");
        for (reach, width) in service.reach.iter().zip(&widths) {
            let word = reach.map_or("", word);
            let padding = " ".repeat(width.saturating_sub(word.chars().count()));
            let word = match reach {
                Some(Reach::Closed) | None => paint.faint(word),
                Some(_) => word.to_owned(),
            };
            let _ = write!(row, "  {word}{padding}");
        }
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

const fn word(reach: Reach) -> &'static str {
    match reach {
        Reach::Open => "open",
        Reach::Partly => "partly",
        Reach::Maybe => "maybe",
        Reach::Elsewhere => "led on",
        Reach::Closed => "–",
    }
}

/// A class of sources: by its set, or as the others.
fn source(source: &Source, among: &Exposure) -> String {
    let Some(addresses) = &source.addresses else {
        return "everybody".to_owned();
    };
    // Whoever is in none of the smaller classes.
    let rest = among.sources.iter().filter(|it| it.family == source.family);
    let rest = rest.max_by_key(|it| it.addresses.as_ref().map(|it| it.values.count()));
    if rest == Some(source) {
        "others".to_owned()
    } else {
        cut(&addresses.words, SOURCE_WIDTH)
    }
}

fn service(service: &Service) -> String {
    let of = service.of.as_ref().map_or("", |it| it.words.as_str());
    let protocol = match service.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp(Family::Ip) => "icmp",
        Protocol::Icmp(Family::Ip6) => "icmpv6",
        Protocol::Other => "protocol",
    };
    let of = if of.is_empty() { "any" } else { of };
    format!("{protocol} {of}")
}

/// A text of so many characters at most.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}…")
}

fn dead(rule: &DeadRule) -> String {
    let why = match &rule.why {
        Why::NoWayToIt => "no base chain leads to its chain".to_owned(),
        Why::AsksTheImpossible => "no packet is what it asks for".to_owned(),
        Why::NeverMet(packet) => {
            format!("no packet comes to it; one it asks for, {packet}, is decided")
        }
        Why::MakesNoDifference(packet) => {
            format!("without it nothing would be otherwise; {packet} is decided")
        }
    };
    let by = rule.by.as_ref().map(|by| format!(" by {}", by.who));
    format!("idle      {}: {why}{}\n", rule.rule, by.unwrap_or_default())
}

fn changes(title: &str, changes: &[Changes], paint: &Paint) -> String {
    if changes.is_empty() {
        return format!("{title}: none; no packet fares otherwise\n");
    }
    let mut out = format!("{title}\n");
    for at in changes {
        for (change, sides) in &at.changes {
            out.push_str(&self::change(at.way, change, sides, paint));
        }
    }
    out
}

fn change(way: Way, change: &Change, sides: &Sides, paint: &Paint) -> String {
    let title = match change.direction() {
        Direction::Opened => paint.bad("opened"),
        Direction::Closed => paint.good("closed"),
        Direction::Otherwise => "otherwise".to_owned(),
    };
    let (before, after) = (change.before, change.after);
    let mut out = format!("  {title}  {}: {before} → {after}\n", way_name(way));
    for class in change.classes.iter().take(CLASSES_SHOWN) {
        let _ = writeln!(out, "    {}", self::class(class));
    }
    let more = change.classes.len().saturating_sub(CLASSES_SHOWN);
    if more > 0 || change.more {
        let and = if change.more {
            "and more than that"
        } else {
            "more"
        };
        let _ = writeln!(out, "    … {more} {and}: see --format json");
    }
    let _ = writeln!(out, "    such as {}", change.witness);
    let _ = writeln!(out, "      before  {before}, by {}", sides.before.who);
    let _ = writeln!(out, "      after   {after}, by {}", sides.after.who);
    out
}

fn class(class: &Class) -> String {
    match class.addresses() {
        Some(count) => format!("{class}   ({})", addresses(count)),
        None => class.to_string(),
    }
}
