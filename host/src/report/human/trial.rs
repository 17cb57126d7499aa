//! What people are told of trials and generations.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Paint;
use crate::apply::generation::{ConfirmedBy, Origin, Record};
use crate::apply::store::{Ended, Entry, StoreError};
use crate::apply::trial::{BUILT_IN, Situation, name};
use crate::apply::{Booted, Found, MachineState, OnTrial, RolledBack, with_causes};
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

pub(super) fn rolled_back(rolled_back: &RolledBack) -> String {
    let mut out = String::new();
    if let Some(ended) = rolled_back.ended {
        let _ = writeln!(out, "the trial of generation {ended} is over");
    }
    match (rolled_back.in_force, rolled_back.ended) {
        (Some(in_force), _) => {
            let _ = writeln!(out, "{} is in force", name(in_force));
        }
        (None, Some(_)) => out.push_str("nothing was ever confirmed, so nothing is filtered\n"),
        (None, None) => out.push_str("nothing was on trial, and nothing was ever confirmed\n"),
    }
    out
}

pub(super) fn booted(booted: &Booted, paint: &Paint) -> String {
    let mut out = String::new();
    for damaged in &booted.damaged {
        let _ = writeln!(out, "damaged   {}", paint.bad(&with_causes(damaged)));
    }
    match &booted.record {
        Some(record) => {
            let how = match booted.found {
                Found::Nothing if booted.damaged.is_empty() => String::new(),
                Found::Nothing => ", the newest that can be read".to_owned(),
                Found::InForce => ", which was in force already".to_owned(),
                Found::OnTrial(number) => {
                    format!(" is confirmed; generation {number} is on trial, and goes on")
                }
            };
            let _ = writeln!(out, "booted    generation {}{how}", record.number);
            out.push_str(&source(record));
        }
        None if booted.damaged.is_empty() => {
            out.push_str("booted    nothing: no generation was ever confirmed here\n");
        }
        None => {
            let _ = writeln!(out, "booted    {}", paint.bad(&none_readable()));
        }
    }
    out
}

/// What counts as confirmed when generations were, and the disk has lost them all.
fn none_readable() -> String {
    format!("{}, as no generation can be read any more", name(BUILT_IN))
}

pub(super) fn status(status: &Status, paint: &Paint) -> String {
    let survey = &status.survey;
    let mut out = String::new();
    if let Some(record) = &survey.confirmed_record {
        let _ = writeln!(out, "confirmed {}", confirmation(record));
        out.push_str(&source(record));
    } else if matches!(survey.confirmed, Some((BUILT_IN, _))) {
        let _ = writeln!(out, "confirmed {}", paint.bad(&none_readable()));
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
    if let Some(help) = help(status) {
        let _ = writeln!(out, "help      {help}");
    }
    if let Some(machine) = &status.machine {
        out.push_str(&super::guard::machine(machine, paint));
    }
    if let Some(exposure) = &status.exposure {
        out.push_str(&super::proofs::told_exposure(exposure, paint));
    }
    out + &super::machine(survey.machine)
}

/// What to do about the state that the machine is in.
fn help(status: &Status) -> Option<&'static str> {
    let situation = match status.survey.machine {
        MachineState::Found { situation, .. } => Some(situation),
        MachineState::Unchanged | MachineState::RolledBack { .. } | MachineState::Unknown => None,
    };
    match situation {
        Some(Situation::Unrecorded { .. }) => Some("`portreeve boot` puts it on record"),
        // There is nothing to roll back to.
        Some(Situation::Drifted { confirmed: None }) => {
            Some("keep a console at hand, and use `portreeve apply --no-trial`")
        }
        _ if status.is_drift() => {
            Some("`portreeve rollback` puts the confirmed rule set in force again")
        }
        _ => None,
    }
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
            Ok(Entry::Ended(ended)) => line(&ended.record, &paint.faint(ended.ending.words())),
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
        "{:>5}  {time}  {} {}  by {}  {fate}{origin}",
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
    let (number, how) = (ended.record.number, ended.ending.words());
    format!("generation {number} {how}, {time}")
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
