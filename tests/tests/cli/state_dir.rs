//! The state directory in trouble: held by another, written by others, full, read-only, not there.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;

use portreeve_tests::namespace::{Namespace, tool};
use portreeve_tests::program::{Run, Subject};

use super::{fresh, has_no_table};

/// Runs `portreeve` where a file system of its own is mounted on the state directory, for this
/// run alone: `mount` is a line of sh, and `$0` the state directory.
fn mounted(namespace: &Namespace, subject: &Subject, mount: &str, arguments: &[&str]) -> Run {
    let mut command = namespace.command(&tool("unshare").expect("namespaces are made with it"));
    command.args(["--mount", "--", "/bin/sh", "-c"]);
    command.arg(format!("{mount} && exec \"$@\""));
    command.arg(subject.path("state")).arg(&subject.program);
    Run::of(&mut subject.with(command, arguments))
}

#[test]
fn an_apply_that_cannot_be_recorded_does_not_touch_the_kernel() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    // A file where the state directory should be: even root cannot write there.
    fs::write(subject.path("state"), "").unwrap();
    for apply in [["apply", "--no-wait"], ["apply", "--no-trial"]] {
        let apply = subject.run_in(&namespace, &apply);
        apply.fails(1, &["error[A002]", "state", "unchanged"]);
    }
    has_no_table(&namespace);
}

#[test]
fn two_at_once_exclude_each_other() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    fs::create_dir(subject.path("state")).unwrap();
    let other = File::create(subject.path("state/lock")).unwrap();
    other.lock().unwrap();
    for changing in [
        ["apply", "--no-trial"].as_slice(),
        &["apply", "--no-wait"],
        &["confirm", "7K3M-Q0XW"],
        &["rollback"],
        &["boot"],
    ] {
        let run = subject.run_in(&namespace, changing);
        run.fails(
            6,
            &[
                "error[A009]",
                "another portreeve",
                "state/lock",
                "unchanged",
            ],
        );
    }
    has_no_table(&namespace);
    // Who only looks need not wait.
    subject
        .run_in(&namespace, &["status"])
        .succeeds(&["machine   open"]);
    subject.run_in(&namespace, &["history"]).succeeds(&[]);
    drop(other);
    let apply = subject.run_in(&namespace, &["apply", "--no-trial"]);
    apply.succeeds(&["machine   confirmed"]);
}

/// Losing this, another user could put a rule set where root would load it.
#[test]
fn what_others_could_have_written_is_not_read() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    run(&["apply", "--no-trial"]).succeeds(&[]);
    let before = namespace.nft(&["list", "ruleset"], "").unwrap();
    for (place, mode) in [("state", 0o777), ("state/generations", 0o770)] {
        fs::set_permissions(subject.path(place), Permissions::from_mode(mode)).unwrap();
        for command in [
            ["apply", "--no-trial"].as_slice(),
            &["rollback", "1"],
            &["boot"],
            &["status"],
            &["history"],
        ] {
            let refused = run(command);
            refused.fails(
                1,
                &["error[A002]", place, "by others than root", "chmod 700"],
            );
        }
        fs::set_permissions(subject.path(place), Permissions::from_mode(0o700)).unwrap();
    }
    assert_eq!(namespace.nft(&["list", "ruleset"], "").unwrap(), before);
    run(&["status"]).succeeds(&["machine   confirmed: generation 1 is in force"]);
}

/// Losing this, a full disk would be found when the kernel had been switched already.
#[test]
fn a_full_disk_is_found_before_the_kernel_is_touched() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    fs::create_dir(subject.path("state")).unwrap();
    // Room for directories, and for no generation.
    let full = "mount -t tmpfs -o size=4k,mode=700 none \"$0\"";
    for apply in [["apply", "--no-trial"], ["apply", "--no-wait"]] {
        mounted(&namespace, &subject, full, &apply).fails(
            1,
            &[
                "error[A002]: there is no space left for",
                "make room",
                "machine   open",
            ],
        );
    }
    has_no_table(&namespace);
}

/// Losing this, a machine whose disk can only be read would start without its firewall.
#[test]
fn a_disk_that_can_only_be_read_is_booted_from_and_nothing_else() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    subject
        .run_in(&namespace, &["apply", "--no-trial"])
        .succeeds(&[]);
    let delete = ["delete", "table", "inet", "portreeve"];
    namespace.nft(&delete, "").unwrap();
    let read_only = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    let run = |arguments: &[&str]| mounted(&namespace, &subject, read_only, arguments);
    run(&["boot"]).succeeds(&["booted    generation 1", "machine   confirmed"]);
    for apply in [["apply", "--no-trial"], ["apply", "--no-wait"]] {
        run(&apply).fails(
            1,
            &[
                "error[A002]",
                "is on a file system that can only be read",
                "mount it writable again",
                "generation 1 is in force",
            ],
        );
    }
    run(&["status"]).succeeds(&["the kernel holds what was applied"]);
}
