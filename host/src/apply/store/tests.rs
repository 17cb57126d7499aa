//! What somebody would lose if the state directory did not keep its word.

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::apply::generation::{Confirmed, ConfirmedBy, Origin, Source};

fn generation(number: Number) -> Generation {
    let source = Source {
        portreeve: "0.1.0".to_owned(),
        policy: "strict-origin".to_owned(),
        policy_version: "0.1.0".to_owned(),
        policy_digest: "0123".to_owned(),
        settings: vec!["ssh-port=22".to_owned()],
        feeds: Vec::new(),
        goals: vec!["ssh stays reachable".to_owned()],
    };
    let record = Record {
        number,
        time: 1_800_000_000,
        who: "root, sudo by alice, from 192.0.2.7".to_owned(),
        origin: Origin::Trial {
            confirm_within: 60,
            token_digest: "4567".to_owned(),
        },
        source,
        confirmed: Some(Confirmed {
            time: 1_800_000_030,
            who: "root".to_owned(),
            by: ConfirmedBy::Console,
        }),
    };
    let transaction = format!("{{\"nftables\":[\"generation {number}\"]}}");
    Generation {
        record,
        transaction,
    }
}

/// A state directory in which `confirmed` were confirmed.
fn directory(confirmed: &[Number]) -> (TempDir, StateDir, Lock) {
    let parent = TempDir::new().unwrap();
    let state = StateDir::new(parent.path().join("state"));
    let lock = state.lock().unwrap();
    for number in confirmed {
        state
            .prepare_confirmed(&lock, &generation(*number))
            .unwrap();
        state.record_confirmed(&lock, *number).unwrap();
    }
    (parent, state, lock)
}

fn numbers(numbers: &BTreeSet<Number>) -> Vec<Number> {
    numbers.iter().copied().collect()
}

#[test]
fn what_was_confirmed_is_read_back_and_what_was_prepared_is_not_yet() {
    let (_parent, state, lock) = directory(&[41]);
    state.prepare_confirmed(&lock, &generation(42)).unwrap();
    let shelf = state.load(&lock).unwrap();
    assert_eq!(numbers(&shelf.generations), [41]);
    assert_eq!(numbers(&shelf.prepared), [42]);
    let newest = state.newest_readable(&shelf);
    assert_eq!(newest.generation, Some(generation(41)));
    assert!(newest.damaged.is_empty());
    assert_eq!(shelf.next_number(Some(7)), 43);
    assert_eq!(shelf.next_number(Some(50)), 51);
}

#[test]
fn a_damaged_generation_is_passed_over_and_named() {
    let changes: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes[0] ^= 1,
        |bytes| bytes.push(b'\n'),
    ];
    for change in changes {
        let (_parent, state, _lock) = directory(&[41, 42]);
        let path = state.path().join("generations/42");
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let shelf = state.look().unwrap();
        let newest = state.newest_readable(&shelf);
        assert_eq!(newest.generation, Some(generation(41)));
        let [damaged] = &newest.damaged[..] else {
            panic!("{:?}", newest.damaged);
        };
        assert_eq!(
            damaged.to_string(),
            format!("{} is damaged", path.display())
        );
        assert_eq!(state.on_disk(&shelf, InKernel::Open).confirmed, Some(41));
    }
}

#[test]
fn when_none_can_be_read_the_built_in_rule_set_counts_as_confirmed() {
    let (_parent, state, _lock) = directory(&[41]);
    fs::write(state.path().join("generations/41"), "").unwrap();
    let shelf = state.look().unwrap();
    let confirmed = |kernel| state.on_disk(&shelf, kernel).confirmed;
    assert_eq!(confirmed(InKernel::Open), Some(BUILT_IN));
    assert_eq!(confirmed(InKernel::Confirmed(BUILT_IN)), Some(BUILT_IN));
    // What the kernel holds needs no file until the next restart.
    assert_eq!(confirmed(InKernel::Confirmed(41)), Some(41));
    let (_parent, empty, _lock) = directory(&[]);
    let shelf = empty.look().unwrap();
    assert_eq!(empty.on_disk(&shelf, InKernel::Open).confirmed, None);
}

#[test]
fn how_a_candidate_ended_is_told_once_and_for_all() {
    let (_parent, state, lock) = directory(&[41]);
    state.write_candidate(&lock, &generation(42)).unwrap();
    assert_eq!(state.candidate(42).unwrap(), generation(42));
    state.end(&lock, 42, Ending::Lapsed, 1_800_000_060).unwrap();
    state
        .end(&lock, 42, Ending::Restarted, 1_800_000_099)
        .unwrap();
    state
        .end(&lock, 41, Ending::Restarted, 1_800_000_099)
        .unwrap();
    let shelf = state.load(&lock).unwrap();
    assert_eq!(numbers(&shelf.candidates), [0; 0]);
    assert_eq!(shelf.last_ended(), Some(42));
    let history: Vec<_> = state
        .history(&shelf)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let ended = Ended {
        record: Record {
            confirmed: None,
            ..generation(42).record
        },
        ending: Ending::Lapsed,
        time: 1_800_000_060,
    };
    let confirmed = Entry::Confirmed(generation(41).record);
    assert_eq!(history, [Entry::Ended(ended), confirmed]);
}

#[test]
fn the_twenty_newest_are_kept_and_strange_files_are_left_alone() {
    let all: Vec<Number> = (1..=25).collect();
    let (_parent, state, lock) = directory(&all);
    let generations = state.path().join("generations");
    for strange in ["026", "+27", "28.bak", "0", ".29.new.old"] {
        fs::write(generations.join(strange), "").unwrap();
    }
    state.prune(&lock).unwrap();
    let shelf = state.load(&lock).unwrap();
    assert_eq!(numbers(&shelf.generations), (6..=25).collect::<Vec<_>>());
    assert_eq!(shelf.next_number(None), 26);
    assert!(generations.join("026").exists());
}

#[test]
fn two_at_once_exclude_each_other() {
    let (_parent, state, lock) = directory(&[]);
    assert!(matches!(state.lock(), Err(StoreError::Busy { .. })));
    assert!(matches!(state.lock_to_boot(), Err(StoreError::Busy { .. })));
    drop(lock);
    state.lock().unwrap();
}

#[test]
fn boot_makes_nothing_and_needs_no_lock_file() {
    let parent = TempDir::new().unwrap();
    let state = StateDir::new(parent.path().join("state"));
    let lock = state.lock_to_boot().unwrap();
    assert_eq!(state.load(&lock).unwrap(), Shelf::default());
    assert!(!state.path().exists());
}

#[test]
fn what_others_could_have_written_is_not_read() {
    let (parent, state, lock) = directory(&[41]);
    drop(lock);
    for part in ["", "generations"] {
        let path = state.path().join(part);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        let refused = [state.look().map(drop), state.lock_to_boot().map(drop)];
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(
            refused
                .iter()
                .all(|refused| matches!(refused, Err(StoreError::NotOurs { .. })))
        );
    }
    let elsewhere = parent.path().join("elsewhere");
    fs::rename(state.path().join("generations/41"), &elsewhere).unwrap();
    symlink(&elsewhere, state.path().join("generations/41")).unwrap();
    assert!(state.generation(41).is_err(), "a link is not followed");
}

#[test]
fn the_ssh_port_is_the_last_one_written() {
    let (_parent, state, lock) = directory(&[]);
    assert_eq!(state.ssh_port().unwrap(), None);
    state.write_ssh_port(&lock, 22).unwrap();
    state.write_ssh_port(&lock, 2222).unwrap();
    assert_eq!(state.ssh_port().unwrap(), Some(2222));
    fs::write(state.path().join("ssh-port"), "many").unwrap();
    assert!(state.ssh_port().is_err());
}

#[test]
fn a_full_disk_and_one_that_is_read_only_are_called_so() {
    let path = Path::new("/var/lib/portreeve/candidates/42");
    let said = |kind: ErrorKind| StoreError::new(path, "written", kind.into()).to_string();
    assert_eq!(
        said(ErrorKind::StorageFull),
        "there is no space left for /var/lib/portreeve/candidates/42"
    );
    assert_eq!(
        said(ErrorKind::ReadOnlyFilesystem),
        "/var/lib/portreeve/candidates/42 is on a file system that can only be read"
    );
}
