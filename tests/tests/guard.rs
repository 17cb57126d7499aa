//! The guard against lock-out, on real rule sets, on a listing of a crowded machine, and on a
//! machine that it reads itself.

use std::env;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use portreeve::guard::{
    Facts, Interface, Judged, Judgement, Leads, Operator, Scope, Undoes, judge, survey,
};
use portreeve::observe::surroundings;
use portreeve::session::{Connection, Session};
use portreeve_model::inputs::Value;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_model::validate::{Feeds, validate};
use portreeve_nft::read;
use portreeve_sdk::Policy;
use portreeve_sdk::testing::{CaseFile, inputs};
use portreeve_tests::guests::workspace;
use portreeve_tests::namespace::{Namespace, ip_batch, tool};
use strict_origin::StrictOrigin;
use tunnel_origin::TunnelOrigin;

/// Says that this process is in the namespace already.
const INSIDE: &str = "PORTREEVE_TEST_INSIDE";

/// What somebody else has on the machine: SSH by name of a set, and a port that is led elsewhere.
const OTHERS: &str = "
    table inet elsewhere {
        set trusted {
            type ipv4_addr
            elements = { 203.0.113.1, 203.0.113.2 }
        }
        chain input {
            type filter hook input priority 10; policy accept;
            ip saddr @trusted accept
            tcp dport 22 ct state new drop
        }
    }
    table ip published {
        chain prerouting {
            type nat hook prerouting priority -100; policy accept;
            tcp dport 8080 dnat to 172.17.0.2:80
        }
    }
    table inet portreeve {
        chain input {
            type filter hook input priority 0; policy drop;
        }
    }";

fn tunnel_origin() -> Ruleset {
    let draft = TunnelOrigin::decide(&inputs(&TunnelOrigin::describe())).expect("it decides");
    validate(&draft, &Feeds::default()).expect("a policy drafts what is valid")
}

/// A machine whose operator came over IPv4 or IPv6, to this port.
fn machine(connection: (&str, &str), port: u16, others: Tables) -> Facts {
    let (client, server) = connection;
    let server = format!("{server}:{port}").parse().expect("a socket");
    let client = client.parse().expect("a socket");
    let addresses = ["198.51.100.10", "2001:db8::10", "fe80::10"];
    let addresses = addresses.map(|it| it.parse().expect("an address"));
    Facts {
        operator: Operator::Remote(vec![Connection::new(client, server)]),
        sshd: Ok(vec![([0, 0, 0, 0], port).into()]),
        interfaces: Ok(vec![Interface {
            name: "eth0".to_owned(),
            index: Some(2),
            addresses: addresses.into(),
        }]),
        others: Ok(others),
        legacy: Ok(Vec::new()),
    }
}

/// What is not proved.
fn doubts(judgement: &Judgement) -> Vec<String> {
    let doubtful = judgement.guarded.iter();
    let doubtful = doubtful.filter(|it| !matches!(it.judged, Judged::Proved));
    doubtful
        .map(|it| format!("{}: {:?}", it.need.name, it.judged))
        .collect()
}

/// Losing this, the built-in policies would lock somebody out, or the guard would cry wolf.
#[test]
fn the_built_in_policies_lock_nobody_out() {
    fn check<P: Policy>(name: &str) -> usize {
        let cases = workspace().join("policies").join(name).join("cases");
        let files = CaseFile::read_dir(&cases, &P::describe()).expect("case files");
        let mut judged = 0;
        for file in files {
            let Ok(draft) = P::decide(&file.inputs) else {
                continue;
            };
            let ruleset = validate(&draft, &file.feeds).expect("a policy drafts what is valid");
            let Some(Value::Port(port)) = file.inputs.value("ssh-port") else {
                panic!("{name} has a setting for the port");
            };
            for connection in [
                ("192.0.2.7:50000", "198.51.100.10"),
                ("[2001:db8:1::7]:50000", "[2001:db8::10]"),
            ] {
                let facts = machine(connection, *port, Tables::default());
                let judgement = judge(&facts, &ruleset, Some(*port));
                let path = file.path.display();
                assert_eq!(doubts(&judgement), [""; 0], "{path}");
                judged += 1;
            }
        }
        judged
    }
    assert!(check::<StrictOrigin>("strict-origin") >= 10);
    assert!(check::<TunnelOrigin>("tunnel-origin") >= 4);
}

/// Docker, ufw and fail2ban: what a limit decides is left open, nothing is refused,
/// and the port that Docker has published is told.
#[test]
fn a_crowded_machine_is_told_apart() {
    let listing = workspace().join("tests/tests/cli/listings/docker.json");
    let listing = fs::read_to_string(listing).expect("the listing is there");
    let others = read(&listing).expect("it is JSON");
    let facts = machine(("192.0.2.7:50000", "198.51.100.10"), 22, others);
    let judgement = judge(&facts, &tunnel_origin(), Some(22));
    let open: Vec<&str> = judgement
        .open()
        .map(|(need, _)| need.name.as_str())
        .collect();
    assert_eq!(
        open,
        ["new connections from 192.0.2.7 to port 22, in by eth0"],
        "{:#?}",
        doubts(&judgement)
    );
    assert!(!judgement.locks_out(), "{:#?}", judgement.diagnostics());
    let machine = survey(&facts, &tunnel_origin());
    let chains = machine.chains.iter().map(|chain| {
        let undoes = match &chain.undoes {
            Undoes::Nothing => "nothing",
            Undoes::Some(..) => "some",
            Undoes::Perhaps(..) => "perhaps",
            Undoes::Unknown(why) => why,
        };
        format!(
            "{} {} {}: {undoes}",
            chain.name.table, chain.hook, chain.priority
        )
    });
    assert_eq!(
        chains.collect::<Vec<_>>(),
        ["filter input 0: some", "fail2ban input -1: some"]
    );
    let published = machine.published.iter();
    let published: Vec<_> = published.map(|it| (it.to.as_str(), it.leads)).collect();
    assert_eq!(published, [("dnat ip to 172.17.0.2:80", Leads::Through)]);
}

/// Runs `test` inside: the test program starts itself there, for this one test, as somebody who came
/// over SSH.
fn inside(name: &str, prepare: impl FnOnce(&Namespace), test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    prepare(&namespace);
    let program = env::current_exe().expect("a program has a path");
    let output = namespace
        .command(&program)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .env("SSH_CONNECTION", "192.0.2.7 50000 198.51.100.10 22")
        .output()
        .expect("it runs here, so it runs there");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // A name that is misspelled runs no test, which succeeds.
    assert!(said.contains("1 passed"), "{said}");
}

/// Losing this, somebody would be locked out by a rule that portreeve never wrote.
#[test]
fn the_guard_names_the_rule_of_a_table_that_it_read() {
    let prepare = |namespace: &Namespace| {
        let mut ip = namespace.command(&tool("ip").expect("probed: iproute2 is there"));
        let lines = "link add eth0 type veth peer name far\n\
                     addr add 198.51.100.10/24 dev eth0\nlink set eth0 up\nlink set far up\n";
        ip_batch(&mut ip, lines).expect("a cable can be laid");
        namespace.nft(&["-f", "-"], OTHERS).expect("nft loads it");
    };
    inside(
        "the_guard_names_the_rule_of_a_table_that_it_read",
        prepare,
        || {
            // Not a real one: what counts is that it is called so and waits.
            let _waiting = TcpListener::bind("0.0.0.0:22").expect("we are root here");
            fs::write("/proc/self/comm", "sshd").expect("a process may change its own name");
            let facts = surroundings::read(&Session::of_this_process());
            assert_eq!(facts.sshd, Ok(vec![([0, 0, 0, 0], 22).into()]));
            let interfaces = facts.interfaces.as_ref().expect("they can be read");
            let eth0 = interfaces.iter().find(|it| it.name == "eth0");
            assert!(eth0.is_some_and(|it| it.index.is_some()), "{interfaces:?}");
            assert!(interfaces.iter().all(|it| it.name != "lo"));
            let judgement = judge(&facts, &tunnel_origin(), Some(22));
            assert_eq!(judgement.scope, Scope::EveryTable { others: 2 });
            let found: Vec<String> = judgement
                .diagnostics()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(
                found,
                [
                    "error[L001]: this machine: new connections from 192.0.2.7 to port 22, in by eth0 \
                 are not let through: eth0 tcp 192.0.2.7:40000 > 198.51.100.10:22 new is stopped \
                 by rule 2 in chain inet elsewhere input: tcp dport 22 ct state new drop"
                ]
            );
            let machine = survey(&facts, &tunnel_origin());
            let undoing: Vec<&str> = machine
                .chains
                .iter()
                .filter(|chain| matches!(chain.undoes, Undoes::Some(..)))
                .map(|chain| chain.name.table.as_str())
                .collect();
            assert_eq!(undoing, ["elsewhere"]);
            assert_eq!(machine.published.len(), 1);
            // Whoever is in the set is let in, so that its elements must have been read.
            nft(
                "flush set inet elsewhere trusted\nadd element inet elsewhere trusted { 192.0.2.7 }",
            );
            let facts = surroundings::read(&Session::of_this_process());
            let judgement = judge(&facts, &tunnel_origin(), Some(22));
            assert_eq!(doubts(&judgement), [""; 0]);
        },
    );
}

fn nft(input: &str) {
    let mut command = Command::new(tool("nft").expect("probed: nft is there"));
    let mut child = command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("probed: nft can be started");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("nft reads all");
    drop(stdin);
    assert!(child.wait().expect("it was started").success(), "{input}");
}
