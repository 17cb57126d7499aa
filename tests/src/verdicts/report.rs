//! What runs came to, for people.

use std::fmt::{self, Write};
use std::time::Duration;

use super::episodes::Episode;
use super::figures::{Figures, Row, StepFigures, Tally};
use super::{Cell, Change, List};

/// A line for each row with its steps, and every wrong verdict that is known one by one.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    write(&mut text, rows).expect("a string takes everything");
    text
}

fn write(out: &mut String, rows: &[Row]) -> fmt::Result {
    writeln!(
        out,
        "{:<42} {:>5} {:>9} {:>10} {:>9} {:>9} {:>9} {:>10} {:>9}",
        "what",
        "times",
        "longest",
        "probes",
        "wrongly",
        "wrongly",
        "undeter-",
        "longest",
        "longest"
    )?;
    writeln!(
        out,
        "{:<42} {:>5} {:>9} {:>10} {:>9} {:>9} {:>9} {:>10} {:>9}",
        "", "", "ms", "", "accepted", "dropped", "mined", "gap ms", "pause ms"
    )?;
    for row in rows {
        write_row(out, row)?;
    }
    for row in rows.iter().filter(|row| !row.is_right() || !row.kept_up()) {
        write_faults(out, row)?;
    }
    Ok(())
}

fn write_row(out: &mut String, Row { cell, figures }: &Row) -> fmt::Result {
    let name = name(cell);
    let sum = numbers(figures.sum());
    let (gap, pause) = (ms(figures.longest_gap), ms(figures.longest_pause));
    writeln!(
        out,
        "{name:<42} {:>5} {:>9} {sum} {gap:>10} {pause:>9}",
        "", ""
    )?;
    for StepFigures {
        step,
        times,
        longest,
        tally,
    } in &figures.steps
    {
        let (step, longest) = (format!("  {step}"), ms(*longest));
        writeln!(
            out,
            "{step:<42} {times:>5} {longest:>9} {}",
            numbers(*tally)
        )?;
    }
    Ok(())
}

fn numbers(tally: Tally) -> String {
    let Tally {
        probes,
        wrongly_accepted,
        wrongly_dropped,
        undetermined,
    } = tally;
    format!("{probes:>10} {wrongly_accepted:>9} {wrongly_dropped:>9} {undetermined:>9}")
}

fn name(cell: &Cell) -> String {
    let list = match cell.list {
        List::Allow => "allow-list",
        List::Block => "block-list",
    };
    let change = match cell.change {
        Change::Nothing => "nothing changes",
        Change::NothingWhileBusy => "nothing, busy",
        Change::ReplaceTable => "nft -f",
        Change::FlushRuleset => "flush, nft -f",
        Change::Apply => "apply --no-trial",
        Change::Trial => "trial",
        Change::ChainPolicy => "chain policy",
        Change::ChainPolicyByNft => "chain policy, nft -f",
    };
    format!("{change}, {list} of {}", cell.prefixes)
}

fn write_faults(out: &mut String, row: &Row) -> fmt::Result {
    let Row { cell, figures } = row;
    let Figures {
        episodes,
        episodes_in_all,
        due,
        left_out,
        ..
    } = figures;
    writeln!(out, "\n{}", name(cell))?;
    for (class, tally) in &figures.classes {
        writeln!(out, "  {:<22} {}", class.to_string(), numbers(*tally))?;
    }
    if !row.kept_up() {
        writeln!(
            out,
            "  the prober could not keep up: {left_out} of {due} ticks were left out"
        )?;
    }
    for episode in episodes {
        write_episode(out, episode)?;
    }
    if *episodes_in_all > episodes.len() {
        writeln!(out, "  … {} in all", episodes_in_all)?;
    }
    Ok(())
}

fn write_episode(out: &mut String, episode: &Episode) -> fmt::Result {
    let Episode {
        class,
        probes,
        lasted,
        during,
        after,
        operation,
    } = episode;
    let wrongly = if class.is_accepted() {
        "dropped"
    } else {
        "accepted"
    };
    let lasted = ms(*lasted);
    write!(
        out,
        "  {class}: {probes} wrongly {wrongly} within {lasted} ms, from {} ms after ",
        ms(*after)
    )?;
    match during {
        Some((step, nth)) => writeln!(out, "{step} {nth} began, which took {} ms", ms(*operation)),
        None => writeln!(out, "the beginning"),
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}
