//! What people are told of trials and generations.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portreeve_nft::layout::Number;

use super::Paint;
use crate::apply::generation::{ConfirmedBy, Origin, Record};
use crate::apply::store::{Ended, Entry, StoreError};
use crate::apply::trial::{BUILT_IN, Ending};
use crate::apply::{Booted, OnTrial, RolledBack, with_causes};
use crate::observe::{ObserveError, Observed};
use crate::report::Status;

/// What to do now that a rule set is on trial.
pub(super) fn on_trial(trial: &OnTrial, waits: bool, paint: &Paint) -> String {
    let number = trial.record.number;
    let command = paint.good(&format!("portreeve confirm {}", trial.token));
    let otherwise = match trial.otherwise {
        Some(otherwise) => format!("generation {otherwise} is in force again"),
        None => "portreeve filters nothing again".to_owned(),
    };
    let mut out = format!(
        "trial     generation {number}: open a NEW connection to this machine, and there run\n\
         \n              {command}\n\n\
         \x20         before {}; otherwise {otherwise},\n\
         \x20         whatever becomes of this program and this terminal\n",
        clock(trial.until)
    );
    if waits {
        out.push_str(
            "          (waiting for the end; Ctrl-C stops the waiting and not the trial, \
             `portreeve rollback` ends it now)\n",
        );
    }
    out
}

/// A generation's number, in words.
pub(super) fn number(number: Number) -> String {
    if number == BUILT_IN {
        "the safe rule set that portreeve carries".to_owned()
    } else {
        format!("generation {number}")
    }
}

pub(super) fn rolled_back(rolled_back: &RolledBack) -> String {
    match (rolled_back.ended, rolled_back.in_force) {
        (Some(ended), _) => format!("the trial of generation {ended} is over\n"),
        (None, Some(in_force)) => format!("{} is in force\n", number(in_force)),
        (None, None) => "nothing was on trial, and nothing was ever confirmed\n".to_owned(),
    }
}

pub(super) fn booted(booted: &Booted, paint: &Paint) -> String {
    let mut out = String::new();
    for damaged in &booted.damaged {
        let damaged = paint.bad(&with_causes(damaged));
        let _ = writeln!(out, "damaged   {damaged}; the one before it is used");
    }
    match &booted.record {
        Some(record) => {
            let _ = writeln!(out, "booted    generation {}", record.number);
            out.push_str(&source(record));
        }
        None if booted.damaged.is_empty() => {
            out.push_str("booted    nothing: no generation was ever confirmed here\n");
        }
        None => {
            let safe = paint.bad("no generation can be read");
            let _ = writeln!(
                out,
                "booted    {safe}; {} is in force instead",
                number(BUILT_IN)
            );
        }
    }
    out
}

pub(super) fn status(status: &Status, paint: &Paint) -> String {
    let survey = &status.survey;
    let mut out = String::new();
    if let Some(record) = &survey.confirmed_record {
        let _ = writeln!(out, "confirmed {}", confirmation(record));
        out.push_str(&source(record));
    }
    if let Some(record) = &survey.trial_record {
        let began = clock(UNIX_EPOCH + Duration::from_secs(record.time));
        let (number, who) = (record.number, &record.who);
        let _ = writeln!(out, "on trial  generation {number} since {began}, by {who}");
        out.push_str(&source(record));
    }
    if let Some(ended) = &survey.ended {
        let _ = writeln!(out, "ended     {}", end(ended));
    }
    let contents = match &status.contents {
        None => None,
        Some(Ok(Observed::Expected { elements: true })) => {
            Some(paint.good("the kernel holds what was applied"))
        }
        Some(Ok(Observed::Expected { elements: false })) => Some(format!(
            "{} (elements of large sets not compared)",
            paint.good("the kernel holds what was applied")
        )),
        Some(Ok(Observed::Nothing)) => Some(paint.bad("drift: the kernel holds no table of ours")),
        Some(Ok(Observed::Other)) => {
            Some(paint.bad("drift: the kernel holds another rule set than was applied"))
        }
        Some(Err(error @ ObserveError::Foreign(_))) => {
            Some(paint.bad(&format!("drift: {}", with_causes(error))))
        }
        Some(Err(error @ ObserveError::List(_))) => Some(format!(
            "not compared with the kernel: {}",
            with_causes(error)
        )),
    };
    if let Some(contents) = contents {
        let _ = writeln!(out, "status    {contents}");
    }
    if status.is_drift() {
        out.push_str("help      `portreeve rollback` puts the confirmed rule set in force again\n");
    }
    out + &super::machine(survey.machine)
}

pub(super) fn history(entries: &[Result<Entry, StoreError>], paint: &Paint) -> String {
    if entries.is_empty() {
        return "nothing was ever applied here\n".to_owned();
    }
    let mut out = String::new();
    for entry in entries {
        let line = match entry {
            Ok(Entry::Confirmed(record)) => line(record, &paint.good("confirmed")),
            Ok(Entry::Unconfirmed(record)) => line(record, "not confirmed yet"),
            Ok(Entry::Ended(ended)) => line(&ended.record, &paint.faint(how(ended.ending))),
            Err(error) => paint.bad(&with_causes(error)),
        };
        let _ = writeln!(out, "{line}");
    }
    out
}

/// One generation in a list.
fn line(record: &Record, fate: &str) -> String {
    let time = clock(UNIX_EPOCH + Duration::from_secs(record.time));
    let source = &record.source;
    let origin = match record.origin {
        Origin::Trial { .. } => String::new(),
        Origin::WithoutTrial => ", without a trial".to_owned(),
        Origin::RolledBackTo(number) => format!(", generation {number} again"),
    };
    format!(
        "{:>5}  {time}  {} {}  {fate}{origin}  by {}",
        record.number, source.policy, source.policy_version, record.who
    )
}

/// When and how a generation was confirmed.
fn confirmation(record: &Record) -> String {
    let number = record.number;
    let Some(confirmed) = &record.confirmed else {
        return format!("generation {number}");
    };
    let time = clock(UNIX_EPOCH + Duration::from_secs(confirmed.time));
    let by = match &confirmed.by {
        ConfirmedBy::Connection(connection) => format!("over {connection}"),
        ConfirmedBy::Console => "from the console".to_owned(),
        ConfirmedBy::WithoutTrial => "without a trial".to_owned(),
    };
    format!(
        "generation {number} since {time}, by {}, {by}",
        confirmed.who
    )
}

fn end(ended: &Ended) -> String {
    let time = clock(UNIX_EPOCH + Duration::from_secs(ended.time));
    let (number, how) = (ended.record.number, how(ended.ending));
    format!("generation {number} {how}, {time}")
}

const fn how(ending: Ending) -> &'static str {
    match ending {
        Ending::Lapsed => "lapsed",
        Ending::RolledBack => "rolled back",
        Ending::Replaced => "replaced by another",
        Ending::Restarted => "ended by a restart",
        Ending::Abandoned => "abandoned before it was in force",
    }
}

/// What a generation was made from.
fn source(record: &Record) -> String {
    let source = &record.source;
    let digest = source
        .policy_digest
        .get(..12)
        .unwrap_or(&source.policy_digest);
    let mut out = format!(
        "policy    {} {} (sha256 {digest}), by portreeve {}\n",
        source.policy, source.policy_version, source.portreeve
    );
    if !source.settings.is_empty() {
        let _ = writeln!(out, "settings  {}", source.settings.join(" "));
    }
    for feed in &source.feeds {
        let _ = writeln!(
            out,
            "feed      {}: {} IPv4 and {} IPv6 prefixes",
            feed.name, feed.ip_prefixes, feed.ip6_prefixes
        );
    }
    out
}

fn clock(time: SystemTime) -> impl std::fmt::Display {
    humantime::format_rfc3339_seconds(time)
}
