//! Who logs in during a trial, or after one lapsed, would otherwise believe the wrong rules.

use std::os::unix::fs::symlink;

use super::*;

/// 2026-03-01T12:00:05Z.
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_772_366_405)
}

fn on_trial() -> News {
    News::OnTrial {
        generation: 42,
        until: noon(),
        otherwise: Some(41),
        who: "root (sudo by alice) from 192.0.2.7".to_owned(),
    }
}

fn lapsed(in_force: Option<u64>) -> News {
    News::Lapsed {
        generation: 42,
        at: noon(),
        in_force,
    }
}

fn confirmed() -> News {
    News::Confirmed {
        generation: 42,
        who: "root from 192.0.2.7".to_owned(),
        evidence: "a new connection, 192.0.2.7:50001 to 198.51.100.10:22".to_owned(),
    }
}

/// Notices that reach no log.
fn posting(directory: &Path) -> Notices {
    Notices {
        log: directory.join("absent"),
        ..Notices::new(directory)
    }
}

#[test]
fn whoever_logs_in_reads_what_is_going_on() {
    let check = |news: &News, expected: Option<&str>| {
        assert_eq!(news.motd().as_deref(), expected, "{news:?}");
    };
    check(
        &on_trial(),
        Some(
            "portreeve: firewall generation 42 is on trial until 2026-03-01T12:00:05Z.\n\
             Unless it is confirmed by then, generation 41 is in force again. \
             See `portreeve status`.\n",
        ),
    );
    let first = News::OnTrial {
        generation: 1,
        until: noon(),
        otherwise: None,
        who: "root".to_owned(),
    };
    check(
        &first,
        Some(
            "portreeve: firewall generation 1 is on trial until 2026-03-01T12:00:05Z.\n\
             Unless it is confirmed by then, portreeve filters nothing again. \
             See `portreeve status`.\n",
        ),
    );
    check(
        &lapsed(Some(41)),
        Some(
            "portreeve: firewall generation 42 was not confirmed and lapsed at \
             2026-03-01T12:00:05Z.\n\
             Generation 41 is in force. See `portreeve status`.\n",
        ),
    );
    check(
        &lapsed(None),
        Some(
            "portreeve: firewall generation 42 was not confirmed and lapsed at \
             2026-03-01T12:00:05Z.\n\
             portreeve filters nothing. See `portreeve status`.\n",
        ),
    );
    check(
        &News::Booted { generation: None },
        Some(
            "portreeve: no confirmed firewall could be loaded when the machine started.\n\
             A built-in safe one is in force. See `portreeve status`.\n",
        ),
    );
    check(&confirmed(), None);
}

#[test]
fn the_log_is_told_who_did_what_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let receiver = UnixDatagram::bind(&log).unwrap();
    let notices = Notices { motd: None, log };
    let check = |news: &News, priority: u8, expected: &str| {
        assert_eq!(notices.tell(news), [""; 0]);
        let mut bytes = [0; 1_000];
        let length = receiver.recv(&mut bytes).unwrap();
        let line = std::str::from_utf8(&bytes[..length]).unwrap();
        let process = std::process::id();
        assert_eq!(
            line,
            format!("<{priority}>portreeve[{process}]: {expected}")
        );
    };
    check(
        &on_trial(),
        29,
        "generation 42 is on trial until 2026-03-01T12:00:05Z, \
         applied by root (sudo by alice) from 192.0.2.7",
    );
    check(
        &lapsed(Some(41)),
        28,
        "generation 42 was not confirmed and lapsed at 2026-03-01T12:00:05Z; \
         generation 41 is in force",
    );
    check(
        &lapsed(None),
        28,
        "generation 42 was not confirmed and lapsed at 2026-03-01T12:00:05Z; \
         nothing of portreeve's is in force",
    );
    check(
        &confirmed(),
        29,
        "generation 42 is confirmed by root from 192.0.2.7 \
         (a new connection, 192.0.2.7:50001 to 198.51.100.10:22)",
    );
    let rolled_back = News::RolledBack {
        generation: 42,
        in_force: Some(41),
        who: "root".to_owned(),
    };
    check(
        &rolled_back,
        29,
        "generation 42 is rolled back by root; generation 41 is in force",
    );
    let booted = |generation| News::Booted { generation };
    check(
        &booted(Some(41)),
        29,
        "generation 41 is in force from the start",
    );
    check(
        &booted(None),
        28,
        "no confirmed generation could be loaded at the start; \
         the built-in safe rule set is in force",
    );
}

#[test]
fn a_machine_whose_log_hangs_or_is_missing_still_gets_its_firewall() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let notices = Notices { motd: None, log };
    assert_eq!(
        notices.tell(&confirmed()),
        [""; 0],
        "no log, nobody to tell"
    );
    let receiver = UnixDatagram::bind(&notices.log).unwrap();
    let full = (0..100_000).find_map(|_| notices.tell(&confirmed()).pop());
    assert_eq!(
        full.as_deref(),
        Some("the system log was not told: Resource temporarily unavailable (os error 11)")
    );
    drop(receiver);
    assert_eq!(
        notices.tell(&confirmed()),
        ["the system log was not told: Connection refused (os error 111)"]
    );
}

#[test]
fn the_message_is_for_everybody_and_goes_with_the_next_change() {
    let run = tempfile::tempdir().unwrap();
    let directory = run.path().join("motd.d");
    let notices = posting(&directory);
    assert_eq!(notices.tell(&confirmed()), [""; 0], "nothing to take down");
    assert_eq!(notices.tell(&on_trial()), [""; 0]);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let file = directory.join(MOTD_FILE);
    assert_eq!((mode(&directory), mode(&file)), (0o755, 0o644));
    assert_eq!(notices.tell(&lapsed(Some(41))), [""; 0]);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(Some(text), lapsed(Some(41)).motd());
    let files = || fs::read_dir(&directory).unwrap().count();
    assert_eq!(files(), 1, "no half of a message is left to be shown");
    assert_eq!(notices.tell(&confirmed()), [""; 0]);
    assert_eq!(files(), 0);
}

#[test]
fn no_link_leads_the_message_elsewhere() {
    let run = tempfile::tempdir().unwrap();
    let directory = run.path().join("motd.d");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let precious = run.path().join("precious");
    fs::write(&precious, "mine").unwrap();
    for name in [MOTD_FILE, MOTD_NEXT] {
        symlink(&precious, directory.join(name)).unwrap();
    }
    assert_eq!(posting(&directory).tell(&on_trial()), [""; 0]);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
    let file = fs::symlink_metadata(directory.join(MOTD_FILE)).unwrap();
    assert!(file.is_file());
}

#[test]
fn a_directory_that_is_not_ours_alone_is_left_alone_and_said_so() {
    let run = tempfile::tempdir().unwrap();
    let shared = run.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
    let linked = run.path().join("linked");
    symlink(run.path(), &linked).unwrap();
    for directory in [shared, linked] {
        let expected = format!(
            "the message of the day in {} is not up to date: \
             it is not a directory that only root may write in",
            directory.display()
        );
        assert_eq!(posting(&directory).tell(&on_trial()), [expected]);
    }
    let absent = run.path().join("absent/motd.d");
    let expected = format!(
        "the message of the day in {} is not up to date: No such file or directory (os error 2)",
        absent.display()
    );
    assert_eq!(posting(&absent).tell(&on_trial()), [expected]);
}

#[test]
fn an_empty_directory_is_no_message_at_all() {
    let notices = Notices::new(Path::new(""));
    assert_eq!(notices.motd, None);
}
