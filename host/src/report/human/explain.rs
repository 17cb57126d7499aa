//! A packet's way through a rule set, for people.

use std::fmt::Write as _;

use portreeve_model::diagnostic::Said;
use portreeve_model::evaluate::{
    ChainRef, Inexact, Journey, Place, Region, Step, StepResult, Stop, Verdict, journey, region,
};
use portreeve_model::packet::Packet;

use super::Paint;
use crate::report::explanation::{
    self, Explanation, Source, aside, base, caveat, chain_name, changes, fate, inexact, reason,
};

/// Rules that fail one after the other, and are all shown; of more, only how many they are.
const FAILED_SHOWN: usize = 3;

/// Rules that are shown of one hook, unless all are asked for: rules that lead round and round may
/// be many.
const STEPS_SHOWN: usize = 1_000;

/// Columns of a rule's comment.
const LABEL_WIDTH: usize = 28;

pub(super) fn explanation(explanation: &Explanation, paint: &Paint) -> String {
    let Explanation { packet, tables, .. } = explanation;
    let journey = journey(tables, packet);
    let mut out = format!("packet    {packet}   (hook {})\n", packet.hook);
    let _ = writeln!(out, "rules     {}", explanation::source(explanation));
    for stop in &journey.stops {
        let shown = Shown {
            packet,
            stop,
            all: explanation.all,
            paint,
        };
        shown.write(&mut out);
    }
    alike(&mut out, &region(tables, packet, &journey));
    notes(&mut out, explanation, &journey);
    verdict(&mut out, &journey, paint);
    out
}

/// The packets that share the fate.
fn alike(out: &mut String, region: &Result<Region<'_>, Inexact<'_>>) {
    let _ = match region {
        Ok(region) if region.is_everything() => {
            writeln!(out, "alike     every packet with this hook")
        }
        Ok(region) => {
            let counts = region.extents().filter_map(|(field, extent)| {
                let count = extent.addresses(field)?;
                Some(format!("{} of {field}", addresses(count)))
            });
            let counts: Vec<String> = counts.collect();
            let counts = match counts.as_slice() {
                [] => String::new(),
                counts => format!("   ({})", counts.join(", ")),
            };
            writeln!(out, "alike     {region}{counts}")
        }
        Err(why) => writeln!(out, "alike     not known: {}", inexact(why)),
    };
}

pub(super) fn addresses(count: u128) -> String {
    match count {
        1 => "1 address".to_owned(),
        // Of IPv6 the number is longer than it is useful.
        count if count > 1 << 40 => format!("about 2^{} addresses", count.ilog2()),
        count => format!("{count} addresses"),
    }
}

fn notes(out: &mut String, explanation: &Explanation, journey: &Journey<'_>) {
    let mut notes: Vec<String> = journey.caveats.iter().map(caveat).collect();
    notes.extend(journey.aside.iter().map(aside));
    match &explanation.source {
        Source::Plan => {
            notes.push("other tables of a machine may drop what this one accepts".to_owned());
        }
        Source::Machine { legacy } => notes.extend(legacy.iter().map(|names| {
            format!(
                "tables of iptables-legacy are not looked at, and may drop: {}",
                Said(names)
            )
        })),
        Source::Listing(_) if explanation.tables.tables.is_empty() => notes
            .push("the listing has no table; is it what `nft -j list ruleset` prints?".to_owned()),
        Source::Listing(_) => {}
    }
    for note in notes {
        let _ = writeln!(out, "note      {note}");
    }
}

/// The last line is what becomes of the packet, and why.
fn verdict(out: &mut String, journey: &Journey<'_>, paint: &Paint) {
    let colour = |verdict: &str, accepted: bool| {
        if accepted {
            paint.good(verdict)
        } else {
            paint.bad(verdict)
        }
    };
    let total = journey.verdict();
    let accepted = total == Verdict::Accept;
    if let ([only], false) = (journey.ends.as_slice(), total == Verdict::Undecided) {
        let (verdict, by) = fate(&only.fate);
        let _ = writeln!(out, "verdict   {}{by}", colour(&verdict, accepted));
        return;
    }
    for end in &journey.ends {
        let (verdict, by) = fate(&end.fate);
        let _ = writeln!(out, "perhaps   at {}, {verdict}{by}", end.place.keyword());
    }
    let text = match total {
        Verdict::Undecided => paint.bad(&explanation::verdict(total)),
        total => {
            let verdict = colour(&explanation::verdict(total), accepted);
            format!("{verdict}, whatever is not certain")
        }
    };
    let _ = writeln!(out, "verdict   {text}");
}

/// One place on the packet's way.
struct Shown<'a, 's> {
    packet: &'s Packet,
    stop: &'s Stop<'a>,
    all: bool,
    paint: &'s Paint,
}

impl<'a> Shown<'a, '_> {
    fn write(&self, out: &mut String) {
        let Stop {
            place, evaluation, ..
        } = self.stop;
        let may = if self.stop.certain {
            ""
        } else {
            ", if the packet comes there"
        };
        let device = match place {
            Place::Ingress => format!(" of {}", self.packet.iifname),
            Place::Egress => format!(" of {}", self.packet.oifname),
            Place::Hook(_) => String::new(),
        };
        let nothing = if evaluation.walk.is_empty() {
            ": no rule"
        } else {
            ""
        };
        let _ = writeln!(out, "hook      {}{device}{nothing}{may}", place.keyword());
        let mut chain = None;
        let mut next = 0;
        while next < evaluation.walk.len() {
            if next >= STEPS_SHOWN && !self.all {
                let more = evaluation.walk.len() - next;
                let _ = writeln!(out, "       …  {more} more rules (--all shows them)");
                break;
            }
            let step = &evaluation.walk[next];
            if chain != Some(step.rule.place) {
                chain = Some(step.rule.place);
                self.chain(out, step);
            }
            let run = self.failing(next, step.rule.place);
            if run > FAILED_SHOWN && !self.all {
                let indent = "  ".repeat(step.depth.into());
                let line = format!("{indent}       …  {run} rules do not match (--all shows them)");
                let _ = writeln!(out, "{}", self.paint.faint(&line));
                next += run;
            } else {
                self.step(out, next);
                next += 1;
            }
        }
        let changes = changes(self.packet, self.stop).into_iter();
        let changes: Vec<String> = changes
            .map(|(field, value)| format!("{field} {value}"))
            .collect();
        if !changes.is_empty() {
            let _ = writeln!(out, "changed   {}", changes.join(", "));
        }
    }

    /// The chain of a step; what kind of chain it is, when the packet comes to it first.
    fn chain(&self, out: &mut String, step: &Step<'_>) {
        let ChainRef { table, chain } = step.rule.place;
        let name = chain_name(table, chain);
        let base = base(chain).filter(|_| step.rule.index == 0);
        let base = base.map_or_else(String::new, |base| format!("   ({base})"));
        let indent = "  ".repeat(step.depth.into());
        let _ = writeln!(out, "chain     {indent}{name}{base}");
    }

    /// How many rules of the chain fail one after the other, from a step on, none of them nearly
    /// a match.
    fn failing(&self, next: usize, place: ChainRef<'a>) -> usize {
        let steps = self.stop.evaluation.walk[next..].iter().zip(next..);
        steps
            .take_while(|(step, at)| {
                let failed = matches!(step.result, StepResult::Failed(_));
                failed && step.rule.place == place && !self.stop.is_near_miss(self.packet, *at)
            })
            .count()
    }

    fn step(&self, out: &mut String, at: usize) {
        let step = &self.stop.evaluation.walk[at];
        let number = step.rule.index + 1;
        let label = Said(step.rule.label()).to_string();
        let indent = "  ".repeat(step.depth.into());
        let mut line = format!("{indent}{number:>8}  ");
        if !label.is_empty() {
            let _ = write!(line, "{label:<LABEL_WIDTH$}  ");
        }
        let result = explanation::result(step.result);
        let told = reason(self.packet, self.stop, at);
        let rule = step.rule.place.table.rule_text(step.rule.rule());
        let line = match (step.result, told) {
            (StepResult::Failed(_), Some(why)) => {
                self.paint.faint(&format!("{line}{result}: {why}"))
            }
            (StepResult::MayMatch(_), Some(why)) => format!("{line}{result}: {rule} ({why})"),
            (_, _) => format!("{line}{result}: {rule}"),
        };
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
