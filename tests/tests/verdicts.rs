//! No packet is let in or kept out by mistake while a rule set is put on trial, confirmed, taken
//! back, or lapses: in short; `cargo xtask battery` takes its time over it.

use std::path::Path;

use portreeve_tests::namespace::Namespaces;
use portreeve_tests::program::portreeve;
use portreeve_tests::verdicts::{self, Cell, Change, List, Programs, Row, Step};

/// Does something to an allow-list of 22 prefixes, or says why that cannot be done here.
fn run(change: Change, rounds: usize) -> Option<Row> {
    if let Err(reason) = Namespaces::find() {
        eprintln!("skipped: no network namespace with nftables can be made: {reason}");
        return None;
    }
    let programs = Programs {
        portreeve: &portreeve(),
        verdicts: Path::new(env!("CARGO_BIN_EXE_verdicts")),
        block_list: Path::new("/nonexistent"),
    };
    let cell = Cell {
        list: List::Allow,
        prefixes: 22,
        change,
        rounds,
    };
    let row = verdicts::run(programs, &cell).expect("the machine works");
    let row = Some(row);
    println!("{}", verdicts::table(row.as_slice()));
    row
}

/// A prober that did not see everything has shown nothing, and says so itself.
#[track_caller]
fn assert_right(row: &Row) {
    let table = verdicts::table(std::slice::from_ref(row));
    assert!(row.is_right(), "{table}");
    assert!(row.kept_up(), "{table}");
}

#[test]
fn nothing_is_found_where_nothing_changes_however_busy_the_machine_is() {
    let Some(row) = run(Change::NothingWhileBusy, 2) else {
        return;
    };
    assert_right(&row);
}

#[test]
fn a_firewall_that_is_open_for_a_moment_is_caught() {
    let Some(row) = run(Change::FlushRuleset, 2) else {
        return;
    };
    let wrong = row.figures.sum().wrongly_accepted;
    assert!(wrong > 0, "the prober sees nothing: {row:#?}");
    let first = &row.figures.episodes[0];
    assert_eq!(first.during, Some((Step::Flush, 1)));
}

#[test]
fn no_verdict_is_wrong_while_rule_sets_are_tried_confirmed_and_taken_back() {
    let Some(row) = run(Change::Trial, 2) else {
        return;
    };
    assert_right(&row);
    let times = |step| {
        let figures = row
            .figures
            .steps
            .iter()
            .find(|figures| figures.step == step);
        figures.map(|figures| (figures.times, figures.tally.probes > 0))
    };
    assert_eq!(times(Step::Apply), Some((6, true)));
    for step in [Step::Confirm, Step::Lapse, Step::Rollback, Step::Restore] {
        assert_eq!(times(step), Some((2, true)), "{step}");
    }
}
