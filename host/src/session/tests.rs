//! A session that is taken for a new one, and is not, would confirm rules that lock everybody out.

use super::*;

/// Rows are written with these: who called, and what.
const OLD: &str = "192.0.2.7:50000 198.51.100.10:22";
const NEW: &str = "192.0.2.7:50001 198.51.100.10:22";
const OTHER: &str = "203.0.113.9:50000 198.51.100.10:8080";
const OUTGOING: &str = "203.0.113.53:636 198.51.100.10:40000";
const LOOPBACK: &str = "127.0.0.1:50000 127.0.0.1:22";
const ITSELF: &str = "198.51.100.10:50000 198.51.100.10:22";

type Process = Result<Ancestor, String>;

fn connection(text: &str) -> Connection {
    let (client, server) = text.split_once(' ').unwrap();
    Connection::new(client.parse().unwrap(), server.parse().unwrap())
}

/// A process that holds `held`, and whose environment names `ssh`.
fn process(held: &[&str], ssh: Option<&str>) -> Process {
    Ok(Ancestor {
        connections: held.iter().map(|text| connection(text)).collect(),
        ssh: ssh.map(connection),
        multiplexed: false,
    })
}

/// A shell in a terminal multiplexer.
fn pane(ssh: Option<&str>) -> Process {
    process(&[], ssh).map(|ancestor| Ancestor {
        multiplexed: true,
        ..ancestor
    })
}

/// A process that cannot be looked into.
fn hidden() -> Process {
    Err("/proc/1: Permission denied (os error 13)".to_owned())
}

/// What the session shows when only [`NEW`] was let in by the rules on trial.
fn shown(ancestors: &[Process], from_console: bool) -> Result<Evidence, NoEvidence> {
    let arrived = |asked: &Connection| Ok(*asked == connection(NEW));
    Origin::of(ancestors).evidence(from_console, arrived)
}

fn check(ancestors: &[Process], expected: &str) {
    let shown = match shown(ancestors, false) {
        Ok(evidence) => evidence.to_string(),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(shown, expected, "{ancestors:?}");
}

/// As [`check`], with `--from-console`.
fn check_console(ancestors: &[Process], expected: &str) {
    let shown = match shown(ancestors, true) {
        Ok(evidence) => evidence.to_string(),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(shown, expected, "{ancestors:?}");
}

const NOTHING: &str = "no connection leads to this session";
const IS_NEW: &str = "a new connection, 192.0.2.7:50001 to 198.51.100.10:22";
const IS_OLD: &str = "this session was opened before the trial began, from 192.0.2.7:50000";

#[test]
fn a_session_shows_what_the_connection_shows_that_it_came_over() {
    let shell = || process(&[], None);
    check(&[shell(), process(&[NEW], None), shell()], IS_NEW);
    check(&[shell(), process(&[OLD], None), shell()], IS_OLD);
    // sudo keeps nothing of the environment; the shell below sshd has it.
    check(
        &[shell(), process(&[], Some(NEW)), process(&[NEW], None)],
        IS_NEW,
    );
    // Both processes of sshd hold the same connection.
    check(
        &[shell(), process(&[NEW], None), process(&[NEW], None)],
        IS_NEW,
    );
    // No server below the nearest is asked: its session ended in a program that was called anew.
    check(
        &[shell(), process(&[NEW], None), process(&[OLD], None)],
        IS_NEW,
    );
    check(
        &[shell(), process(&[OLD], None), process(&[NEW], None)],
        IS_OLD,
    );
}

#[test]
fn an_old_session_is_not_new_because_somebody_called_a_port_that_it_forwards() {
    let sshd = process(&[OLD, NEW], None);
    check(&[process(&[], Some(OLD)), sshd.clone()], IS_OLD);
    // Where nothing tells which of them is ours, each must be new.
    check(&[process(&[], None), sshd], IS_OLD);
    let forwards = process(&[NEW, OTHER], None);
    check(&[process(&[], Some(NEW)), forwards.clone()], IS_NEW);
    check(
        &[process(&[], None), forwards],
        "this session was opened before the trial began, from 203.0.113.9:50000",
    );
}

#[test]
fn a_connection_that_sudo_opened_does_not_hide_the_one_that_we_came_over() {
    let ssh = [
        process(&[OUTGOING], None),
        process(&[], Some(NEW)),
        process(&[NEW], None),
    ];
    check(&ssh, IS_NEW);
}

#[test]
fn what_the_environment_names_is_nothing_unless_a_parent_holds_it() {
    check(&[process(&[], Some(NEW)), process(&[OLD], None)], IS_OLD);
    let stale = "this is a session of tmux, screen or the like, which outlives connections; \
                 it was begun from 192.0.2.7";
    check(&[process(&[], Some(NEW)), process(&[], None)], stale);
}

#[test]
fn a_session_that_outlives_connections_shows_nothing() {
    let begun = "this is a session of tmux, screen or the like, which outlives connections";
    check(
        &[pane(Some(OLD))],
        &format!("{begun}; it was begun from 192.0.2.7"),
    );
    // tmux was started at the console; who has attached to it since, nobody can tell.
    check(&[pane(None)], begun);
    // A new session in which tmux was started, and not left, would not be seen: its server is
    // nobody's child. A server that is started in a pane, and called, is.
    check(
        &[process(&[], None), process(&[NEW], None), pane(Some(OLD))],
        IS_NEW,
    );
    check_console(
        &[pane(Some(OLD))],
        "`--from-console` was given, but this is a session of tmux, screen or the like, which can \
         be looked at from anywhere; it was begun from 192.0.2.7",
    );
    check_console(
        &[pane(None)],
        "`--from-console` was given, but this is a session of tmux, screen or the like, which can \
         be looked at from anywhere",
    );
}

#[test]
fn the_console_is_taken_at_its_word_and_a_session_from_afar_is_not() {
    let console = [process(&[], None), process(&[], None)];
    check(&console, NOTHING);
    check_console(&console, "the console");
    check(&[], NOTHING);
    for held in [OLD, NEW] {
        check_console(
            &[process(&[], None), process(&[held], None)],
            "`--from-console` was given, but this session came over the network from 192.0.2.7",
        );
    }
}

#[test]
fn what_this_machine_says_to_itself_shows_nothing_of_those_outside() {
    for (held, client) in [(LOOPBACK, "127.0.0.1"), (ITSELF, "198.51.100.10")] {
        for ssh in [None, Some(held)] {
            let session = [process(&[], ssh), process(&[held], None)];
            let expected = format!(
                "this session comes from this machine itself ({client}); nobody outside got in by \
                 it"
            );
            check(&session, &expected);
            check_console(&session, "the console");
        }
    }
    // A program with a helper on loopback, somewhere above, hides nothing.
    let helper = process(&[LOOPBACK], None);
    check(&[helper.clone(), process(&[NEW], None)], IS_NEW);
    check(&[helper.clone(), process(&[OLD], None)], IS_OLD);
    let begun = "this is a session of tmux, screen or the like, which outlives connections";
    check(&[helper, pane(None)], begun);
}

#[test]
fn what_cannot_be_read_is_no_console_but_on_the_operators_word() {
    let unreadable = "where this session comes from cannot be read: \
                      /proc/1: Permission denied (os error 13)";
    let shell = || process(&[], None);
    for session in [
        vec![shell(), hidden()],
        vec![shell(), hidden(), process(&[NEW], None)],
        vec![pane(None), hidden()],
        vec![process(&[LOOPBACK], None), hidden()],
    ] {
        check(&session, unreadable);
        check_console(&session, "the console");
    }
    // Found before it matters.
    check(&[shell(), process(&[NEW], None), hidden()], IS_NEW);
    check(&[shell(), process(&[OLD], None), hidden()], IS_OLD);
    check(
        &[process(&[], Some(OLD)), hidden(), process(&[OLD], None)],
        IS_OLD,
    );
}

#[test]
fn a_kernel_that_does_not_answer_is_an_error_and_no_evidence() {
    #[derive(Debug, PartialEq)]
    struct Silent;
    impl From<NoEvidence> for Silent {
        fn from(refusal: NoEvidence) -> Self {
            panic!("{refusal}")
        }
    }
    let origin = Origin::of(&[process(&[NEW], None)]);
    assert_eq!(origin.evidence(false, |_| Err(Silent)), Err(Silent));
}

/// The order and the padding are the kernel's: a set of type
/// `ipv4_addr . inet_service . ipv4_addr . inet_service` holds elements of 16 bytes.
#[test]
fn the_key_of_an_arrival_is_as_the_kernel_keeps_it() {
    let (family, key) = connection(NEW).arrival_key();
    assert_eq!(family, Family::Ip);
    let expected = [
        192, 0, 2, 7, 0xc3, 0x51, 0, 0, 198, 51, 100, 10, 0, 22, 0, 0,
    ];
    assert_eq!(key, expected);
    let mapped = connection("[::ffff:192.0.2.7]:50001 [::ffff:198.51.100.10]:22");
    assert_eq!(mapped, connection(NEW), "IPv4 on the wire");
    let (family, key) = connection("[2001:db8::7]:50001 [fe80::1]:22").arrival_key();
    assert_eq!(family, Family::Ip6);
    let mut expected = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    expected.extend([0xc3, 0x51, 0, 0, 0xfe, 0x80]);
    expected.extend([0; 13]);
    expected.extend([1, 0, 22, 0, 0]);
    assert_eq!(key, expected);
    assert_eq!(key.len(), 40);
}

#[test]
fn the_record_says_who_it_was_and_from_where() {
    let check = |sudo: Option<&str>, ancestors: &[Process], expected: &str| {
        let session = Session {
            named: None,
            user: user("root", sudo),
            origin: Origin::of(ancestors),
        };
        assert_eq!(session.who(), expected);
    };
    check(None, &[], "root");
    check(Some("root"), &[], "root");
    check(Some("alice"), &[], "root (sudo by alice)");
    check(
        Some("alice@example.org"),
        &[],
        "root (sudo by alice@example.org)",
    );
    check(
        Some("alice"),
        &[process(&[OLD], None)],
        "root (sudo by alice) from 192.0.2.7",
    );
    check(None, &[process(&[LOOPBACK], None)], "root from 127.0.0.1");
    check(
        None,
        &[pane(Some(OLD))],
        "root in a session begun from 192.0.2.7",
    );
    check(
        Some("a\u{1b}[2J\nb"),
        &[],
        "root (sudo by `a\\u{1b}[2J\\u{a}b`)",
    );
    let long = "x".repeat(100);
    let cut = format!("root (sudo by `{}…`)", "x".repeat(80));
    check(Some(&long), &[], &cut);
}

#[test]
fn this_process_has_a_session() {
    let session = Session::of_this_process();
    assert!(!session.who().is_empty());
}
