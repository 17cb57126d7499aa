//! Every order of requests and accidents, against a model of the kernel and of the disk.
//!
//! Whoever performs the steps may be killed after each single operation, the power may fail after
//! each, the trial may lapse before each, and each may find the disk full or gone read-only.
//! States that differ in nothing but how their generations are numbered are followed once.
//!
//! The same search is run with machines that are wrong in one way each, and must find it.

mod disk;
mod kernel;
mod world;

use std::collections::BTreeSet;
use std::mem;

use super::{Step, Switch};
use world::{Event, World};

/// Events in a row.
const LENGTH: usize = 8;

/// What a search came to.
struct Explored {
    states: usize,
    transitions: usize,
    /// The first promise that was broken, and the events that led there.
    broken: Option<(String, Vec<Event>)>,
}

/// In what way a machine is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    RecordsBeforeTheSwitch,
    PreparesAfterTheSwitch,
    ConfirmsWithoutTheGuard,
    FilesBeforeTheSwitchBack,
    ReplacesWithTwoSwitches,
    StagesOverALeftover,
    ForgetsBeforeItRecords,
    LeavesDataUnsynced,
    LeavesNamesUnsynced,
    TrustsWhatItReads,
}

impl Fault {
    /// The steps of a machine that is wrong so.
    fn bend(self, mut steps: Vec<Step>) -> Vec<Step> {
        let is_record = |step: &Step| matches!(step, Step::RecordConfirmed(_));
        let is_prepare = |step: &Step| matches!(step, Step::PrepareConfirmed(_));
        let is_switch = |step: &Step| matches!(step, Step::Switch(_) | Step::Replace(_));
        let is_filing = |step: &Step| matches!(step, Step::End(..));
        match self {
            Self::RecordsBeforeTheSwitch => to_front_of(&mut steps, is_record, is_switch),
            Self::PreparesAfterTheSwitch => {
                if let Some(place) = steps.iter().position(is_prepare) {
                    let prepare = steps.remove(place);
                    let switch = steps.iter().rposition(is_switch);
                    steps.insert(switch.map_or(place, |switch| switch + 1), prepare);
                }
            }
            Self::FilesBeforeTheSwitchBack => to_front_of(&mut steps, is_filing, is_switch),
            Self::ForgetsBeforeItRecords => {
                let is_forget = |step: &Step| matches!(step, Step::Forget(_));
                to_front_of(&mut steps, is_forget, is_record);
            }
            Self::StagesOverALeftover => steps.retain(|step| !matches!(step, Step::Unstage(_))),
            Self::ReplacesWithTwoSwitches => {
                let place = steps
                    .iter()
                    .position(|step| matches!(step, Step::Switch(Switch::Trial(_))));
                if let Some(place) = place {
                    steps.insert(place, Step::Switch(Switch::Nothing));
                }
            }
            Self::None
            | Self::ConfirmsWithoutTheGuard
            | Self::LeavesDataUnsynced
            | Self::LeavesNamesUnsynced
            | Self::TrustsWhatItReads => {}
        }
        steps
    }
}

/// Moves the first step that is `moved` in front of the first that is `anchor`, if it comes later.
fn to_front_of(
    steps: &mut Vec<Step>,
    moved: impl Fn(&Step) -> bool,
    anchor: impl Fn(&Step) -> bool,
) {
    let anchor = steps.iter().position(anchor);
    let moved = steps.iter().rposition(moved);
    if let (Some(anchor), Some(moved)) = (anchor, moved)
        && anchor < moved
    {
        let step = steps.remove(moved);
        steps.insert(anchor, step);
    }
}

/// Follows every event from every state that so many events lead to.
fn explore(fault: Fault, length: usize) -> Explored {
    let start = World::default();
    let mut explored = Explored {
        states: 1,
        transitions: 0,
        broken: None,
    };
    // How each state was come to first, so that a broken promise can be retold.
    let mut origins: Vec<Option<(usize, Event)>> = vec![None];
    let mut seen = BTreeSet::from([start.clone()]);
    let mut front = vec![(start, 0)];
    for _ in 0..length {
        for (world, index) in mem::take(&mut front) {
            for (event, outcome) in world.successors(fault) {
                explored.transitions += 1;
                match outcome {
                    Ok(next) => {
                        if seen.insert(next.clone()) {
                            front.push((next, origins.len()));
                            origins.push(Some((index, event)));
                        }
                    }
                    Err(promise) => {
                        explored.broken = Some((promise, story(&origins, index, event)));
                        return explored;
                    }
                }
            }
        }
        explored.states = seen.len();
    }
    explored
}

/// The events that led to a state, and the last one.
fn story(origins: &[Option<(usize, Event)>], mut at: usize, last: Event) -> Vec<Event> {
    let mut story = vec![last];
    while let Some((from, event)) = &origins[at] {
        story.push(event.clone());
        at = *from;
    }
    story.reverse();
    story
}

#[test]
fn every_promise_outlives_every_accident() {
    let explored = explore(Fault::None, LENGTH);
    if let Some((promise, story)) = explored.broken {
        panic!("{promise}\nafter {story:#?}");
    }
    println!(
        "{} states, {} transitions",
        explored.states, explored.transitions
    );
    // A search that finds next to nothing shows next to nothing.
    assert!(explored.states > 1_000, "{} states", explored.states);
}

/// A machine that is wrong in this way must be found to break that promise.
#[track_caller]
fn is_caught(fault: Fault, expected: &str) {
    let (promise, story) = explore(fault, LENGTH).broken.expect("the fault is found");
    assert_eq!(promise, expected, "after {story:#?}");
}

#[test]
fn a_machine_that_records_before_the_switch_is_caught() {
    is_caught(
        Fault::RecordsBeforeTheSwitch,
        "something unconfirmed would be booted",
    );
}

#[test]
fn a_machine_that_prepares_after_the_switch_is_caught() {
    is_caught(
        Fault::PreparesAfterTheSwitch,
        "what is in force for good is not on disk",
    );
}

#[test]
fn a_machine_that_confirms_without_the_guard_is_caught() {
    is_caught(
        Fault::ConfirmsWithoutTheGuard,
        "packets meet what had lapsed or was taken back",
    );
}

#[test]
fn a_machine_that_files_before_the_switch_back_is_caught() {
    is_caught(
        Fault::FilesBeforeTheSwitchBack,
        "packets meet what the history calls over",
    );
}

#[test]
fn a_machine_that_replaces_with_two_switches_is_caught() {
    is_caught(
        Fault::ReplacesWithTwoSwitches,
        "what packets meet changes twice in one command",
    );
}

#[test]
fn a_machine_that_stages_over_a_leftover_is_caught() {
    is_caught(
        Fault::StagesOverALeftover,
        "packets meet a rule set that is not as it was written",
    );
}

#[test]
fn a_machine_that_forgets_before_it_records_is_caught() {
    is_caught(
        Fault::ForgetsBeforeItRecords,
        "the history does not know what became of one",
    );
}

#[test]
fn a_machine_that_leaves_data_unsynced_is_caught() {
    is_caught(
        Fault::LeavesDataUnsynced,
        "an older rule set would be booted than the one that was confirmed",
    );
}

#[test]
fn a_machine_that_leaves_names_unsynced_is_caught() {
    is_caught(
        Fault::LeavesNamesUnsynced,
        "an older rule set would be booted than the one that was confirmed",
    );
}

#[test]
fn a_machine_that_trusts_what_it_reads_is_caught() {
    is_caught(
        Fault::TrustsWhatItReads,
        "an older rule set would be booted than the one that was confirmed",
    );
}
