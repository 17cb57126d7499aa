//! `portreeve explain`: one packet against the planned rules, a listing, and what is in force.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portreeve_tests::program::{Run, Subject};

use super::fresh;

/// What Docker, ufw, fail2ban and portreeve make of a machine; nft loads one, and lists the other.
const MACHINE: &str = include_str!("listings/docker.nft");

fn listing() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/listings/docker.json")
}

fn explain(options: &[&str], packet: &str) -> Run {
    Subject::new().run(&arguments(options, packet))
}

fn arguments<'a>(options: &[&'a str], packet: &'a str) -> Vec<&'a str> {
    let words = packet.split(' ');
    ["explain"]
        .into_iter()
        .chain(options.iter().copied())
        .chain(words)
        .collect()
}

/// Against the listing in the repository.
fn against_listing(packet: &str, options: &[&str]) -> Run {
    let listing = listing();
    let listing = listing.to_str().expect("the repository's path is UTF-8");
    explain(&[&["--ruleset", listing][..], options].concat(), packet)
}

/// Against a listing of this text, told on stdin.
fn against(text: &str, packet: &str) -> Run {
    let subject = Subject::new();
    let command = Command::new(&subject.program);
    let mut command = subject.with(command, &arguments(&["--ruleset", "-"], packet));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    stdin.write_all(text.as_bytes()).expect("the program reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The answer is this text, but for the line that says whose rules these are.
#[track_caller]
fn prints(run: &Run, expected: &str) {
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let lines = run
        .stdout
        .lines()
        .filter(|line| !line.starts_with("rules "));
    let found: Vec<&str> = lines.collect();
    let expected: Vec<&str> = expected.lines().map(|line| line.trim_end()).collect();
    assert_eq!(found, expected, "\n{}", run.stdout);
}

const PUBLISHED: &str = "forward iifname eth0 oifname docker0 tcp 192.0.2.200 > 198.51.100.1:8080 \
                         fib daddr type local";

#[test]
fn the_planned_rules_are_explained_without_a_privilege() {
    explain(&[], "tcp 192.0.2.7 to 198.51.100.1:22").succeeds(&[
        "rules     the planned table inet portreeve alone",
        "note      other tables of a machine may drop what this one accepts",
        "verdict   accept, by rule `ssh` in chain inet portreeve input",
    ]);
    explain(&[], "tcp 173.245.48.1 to 198.51.100.1:443")
        .succeeds(&["verdict   accept, by rule `web` in chain inet portreeve input"]);
    explain(&[], "output tcp 198.51.100.1:22 to 192.0.2.7:5 established")
        .succeeds(&["verdict   accept: no chain sees it"]);
    prints(
        &explain(&[], "tcp 192.0.2.7 to 198.51.100.1:443"),
        "\
packet    eth0 tcp 192.0.2.7:40000 > 198.51.100.1:443 new   (hook input)
hook      prerouting: no rule
hook      input
chain     inet portreeve input   (type filter, priority 0, policy drop)
       …  13 rules do not match (--all shows them)
      14  web                           no: ip saddr 192.0.2.7 is not in @cloudflare_v4 (14 intervals)
      15  web                           no: the packet has no ip6 saddr
alike     iifname != \"lo\" ip saddr != @cloudflare_v4 tcp dport != 22 ct state new,untracked   (4293442560 addresses of ip saddr)
note      other tables of a machine may drop what this one accepts
verdict   drop, by the chain policy of inet portreeve input",
    );
}

#[test]
fn a_packet_is_followed_through_translation_to_where_it_ends() {
    prints(
        &against_listing(PUBLISHED, &[]),
        "\
packet    forward iifname eth0 oifname docker0 tcp 192.0.2.200:40000 > 198.51.100.1:8080 new fib daddr type local   (hook forward)
hook      prerouting
chain     ip nat PREROUTING   (type nat, priority -100, policy accept)
       1  yes: fib daddr type local counter jump DOCKER
chain       ip nat DOCKER
         1  no: iifname \"eth0\" is not \"docker0\"
         2  yes: ip daddr != 127.0.0.0/8 iifname != \"docker0\" tcp dport 8080 counter dnat ip to 172.17.0.2:80
changed   ip daddr 172.17.0.2, tcp dport 80
hook      forward
chain     ip filter FORWARD   (type filter, priority 0, policy drop)
       1  yes: counter jump DOCKER-USER
chain       ip filter DOCKER-USER
         1  yes: counter return
chain     ip filter FORWARD
       2  no: ct state new is not established,related
       3  yes: oifname \"docker0\" counter jump DOCKER
chain       ip filter DOCKER
         1  yes: ip daddr 172.17.0.2 iifname != \"docker0\" oifname \"docker0\" tcp dport 80 counter accept
hook      postrouting
chain     ip nat POSTROUTING   (type nat, priority 100, policy accept)
       1  no: ip saddr 192.0.2.200 is not in 172.17.0.0/16
alike     iifname != { \"docker0\", \"lo\" } oifname \"docker0\" fib daddr type local ip daddr != 127.0.0.0/8 tcp dport 8080 ct state new   (4278190080 addresses of ip daddr)
note      table bridge lan sees no routed packet
verdict   accept, by rule 1 in chain ip filter DOCKER: ip daddr 172.17.0.2 iifname != \"docker0\" oifname \"docker0\" tcp dport 80 counter accept",
    );
    // Who says `input` says where it would go untranslated; it may go through all the same.
    against_listing("tcp 192.0.2.200 > 198.51.100.1:8080", &[]).succeeds(&[
        "hook      input, if the packet comes there",
        "hook      forward, if the packet comes there",
        "alike     not known: it is not certain which way the packet goes",
        "note      the destination was changed",
        "(the packet's oifname is not known)",
        "verdict   not certain: accept or drop",
    ]);
}

#[test]
fn every_table_of_a_machine_is_looked_at() {
    prints(
        &against_listing("tcp 192.0.2.7 > 198.51.100.1:9090", &[]),
        "\
packet    eth0 tcp 192.0.2.7:40000 > 198.51.100.1:9090 new   (hook input)
hook      prerouting
chain     ip nat PREROUTING   (type nat, priority -100, policy accept)
       1  yes: fib daddr type local counter jump DOCKER
chain       ip nat DOCKER
         1  no: iifname \"eth0\" is not \"docker0\"
         2  no: tcp dport 9090 is not 8080
hook      input
chain     inet fail2ban input   (type filter, priority -1, policy accept)
       1  no: tcp dport 9090 is not 22
chain     ip filter INPUT   (type filter, priority 0, policy drop)
       1  no: iifname \"eth0\" is not \"lo\"
       2  no: ct state new is not established,related
       3  no: tcp dport 9090 is not 22
       4  yes: jump ufw-user-input
chain       ip filter ufw-user-input
         1  ssh from the office           no: tcp dport 9090 is not 22
         2  no: tcp dport 9090 is not in { 80, 443 }
         3  no: the packet has no udp dport
alike     iifname != { \"docker0\", \"lo\" } fib daddr type local meta nfproto ipv4 tcp dport != { 22, 80, 443, 8080 } ct state new
note      table bridge lan sees no routed packet
verdict   drop, by the chain policy of ip filter INPUT",
    );
    against_listing("tcp 198.51.100.9 > 198.51.100.1:22", &[]).succeeds(&[
        "perhaps: tcp dport 22 ct state new limit rate 6/minute burst 5 packets accept (limit",
        "yes: tcp dport 22 ip saddr 198.51.100.0/24 accept",
        "alike     not known: it depends on `limit rate 6/minute burst 5 packets` of rule 3 in chain \
         ip filter INPUT",
        "verdict   accept",
    ]);
    against_listing("tcp 198.51.100.1 > 198.51.100.1:80 established", &[])
        .succeeds(&["note      rules translate addresses; this connection is taken not to be"]);
}

#[test]
fn programs_are_told_everything() {
    let told = against_listing(PUBLISHED, &["--format", "json"]).json();
    assert_eq!(told["verdict"], "accept");
    assert_eq!(told["certain"], true);
    assert_eq!(told["rules"]["source"], "listing");
    assert_eq!(told["journey"][0]["changed"]["ip daddr"], "172.17.0.2");
    let step = &told["journey"][0]["walk"][1];
    assert_eq!(step["result"], "failed");
    assert_eq!(step["part"], 0);
    assert_eq!(step["parts"][0], "iifname \"docker0\"");
    assert_eq!(step["why"], "iifname \"eth0\" is not \"docker0\"");
    assert_eq!(told["ends"][0]["by"]["chain"], "DOCKER");
    assert_eq!(told["alike"]["fields"]["tcp dport"]["values"][0], "8080");
    assert_eq!(
        told["alike"]["fields"]["ip daddr"]["other_than"][0],
        "127.0.0.0/8"
    );
    assert_eq!(told["aside"][0], "table bridge lan sees no routed packet");

    let limited = [
        "--set",
        "log=true",
        "--set",
        "otherwise=reject",
        "--format",
        "json",
    ];
    let told = explain(&limited, "tcp 192.0.2.7 to 198.51.100.1:8080").json();
    // The log is limited, but what happens to the packet is not.
    assert_eq!(told["certain"], true);
    assert_eq!(told["verdict"], "reject");
    let steps = told["journey"][1]["walk"].as_array().unwrap();
    assert!(
        steps.iter().any(|step| step["result"] == "may match"),
        "{told:#}"
    );
}

#[test]
fn what_is_in_force_is_explained_on_a_machine_that_portreeve_never_saw() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    assert_eq!(namespace.nft(&["-f", "-"], MACHINE), Ok(String::new()));
    for packet in [
        PUBLISHED,
        "tcp 192.0.2.7 > 198.51.100.1:9090",
        "tcp 203.0.113.9 > 198.51.100.1:22",
    ] {
        let live = subject.run_in(&namespace, &arguments(&["--ruleset", "live"], packet));
        live.succeeds(&["rules     in force on this machine: 5 tables"]);
        let listed = against_listing(packet, &[]);
        let listed = listed
            .stdout
            .lines()
            .filter(|line| !line.starts_with("rules "));
        prints(&live, &listed.collect::<Vec<_>>().join("\n"));
    }
    // Neither a configuration nor a policy is asked for.
    subject.configure("this is no configuration");
    let live = arguments(&["--ruleset", "live"], "tcp 192.0.2.7 > 198.51.100.1:80");
    subject
        .run_in(&namespace, &live)
        .succeeds(&["verdict   accept"]);
}

/// A listing of one table with one base chain at input, and rules with these parts.
fn table(rules: &[&str]) -> String {
    let rules = rules.iter().map(|parts| {
        format!(
            r#",{{"rule":{{"family":"inet","table":"t","chain":"c","handle":9,"expr":[{parts}]}}}}"#
        )
    });
    format!(
        r#"{{"nftables":[{{"table":{{"family":"inet","name":"t","handle":1}}}},{{"chain":{{"family":"inet","table":"t","name":"c","handle":2,"type":"filter","hook":"input","prio":0,"policy":"accept"}}}}{}]}}"#,
        rules.collect::<String>()
    )
}

fn dport(port: u16) -> String {
    format!(
        r#"{{"match":{{"op":"==","left":{{"payload":{{"protocol":"tcp","field":"dport"}}}},"right":{port}}}}},{{"drop":null}}"#
    )
}

#[test]
fn long_runs_of_rules_that_fail_are_folded() {
    let rules: Vec<String> = (1..=40).map(dport).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let packet = "tcp 192.0.2.7 > 198.51.100.1:38";
    against(&table(&rules), packet).succeeds(&[
        "       …  37 rules do not match (--all shows them)\n      38  yes: tcp dport 38 drop\n",
        "alike     tcp dport 38\n",
        "verdict   drop, by rule 38 in chain inet t c: tcp dport 38 drop\n",
    ]);
    let listing = table(&rules);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), listing).unwrap();
    let path = file.path().to_str().unwrap();
    let all = explain(&["--ruleset", path, "--all"], packet);
    all.succeeds(&[
        "       1  no: tcp dport 38 is not 1\n",
        "      37  no: tcp dport 38 is not 37\n",
    ]);
}

#[test]
fn what_is_not_known_may_do_anything_and_is_said() {
    let packet = "tcp 192.0.2.7 > 198.51.100.1:22";
    against(&table(&[r#"{"teleport":{"to":"moon"}}"#]), packet).succeeds(&[
        "perhaps: ",
        "teleport",
        "alike     not known: it depends on",
        "verdict   not certain: accept or drop",
    ]);
    // A table that is switched off has no say, and whatever else stands there is told.
    let dormant =
        table(&[&dport(22)]).replacen(r#""name":"t","#, r#""name":"t","flags":["dormant"],"#, 1);
    against(&dormant, packet).succeeds(&[
        "note      table inet t is dormant",
        "verdict   accept: no chain sees it",
    ]);
    for empty in ["{}", "[1, 2]"] {
        against(empty, packet).succeeds(&["note      the listing has no table"]);
    }
}

#[test]
fn rules_without_an_end_are_not_followed_for_ever() {
    let jump = r#"{"jump":{"target":"c"}}"#;
    against(&table(&[jump, jump]), "tcp 192.0.2.7 > 198.51.100.1:22").succeeds(&[
        "the rules lead too far from chain inet t c to be followed",
        "verdict   not certain: accept or drop",
    ]);
}

#[test]
fn names_in_a_listing_do_not_reach_the_terminal_as_they_are() {
    let hostile = table(&[&dport(22)]).replace(r#""c""#, r#""c\u001b[2J\u202e""#);
    let run = against(&hostile, "tcp 192.0.2.7 > 198.51.100.1:22");
    run.succeeds(&["c\\u{1b}[2J\\u{202e}"]);
    assert!(!run.stdout.contains('\u{1b}') && !run.stdout.contains('\u{202e}'));
}

#[test]
fn what_is_no_listing_is_named_with_its_place() {
    let packet = "tcp 192.0.2.7 > 198.51.100.1:22";
    let subject = Subject::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = subject.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let with = |path: &str| explain(&["--ruleset", path], packet);
    with("/no/such/file").fails(
        3,
        &["error[A019]", "listing `/no/such/file`", "does not exist"],
    );
    with("/").fails(3, &["error[A019]", "is not a regular file"]);
    let broken = file("broken.json", b"{\"nftables\":\n [}");
    with(&broken).fails(
        3,
        &["error[A019]: the listing is not JSON", "line 2 column 3"],
    );
    let text = file("rules.nft", b"table inet t {\n}\n");
    with(&text).fails(
        3,
        &[
            "at line 1 column 2",
            "give what `nft -j list ruleset` prints",
        ],
    );
    let bytes = file("bytes", b"\xff\xfe");
    with(&bytes).fails(3, &["is not UTF-8 text"]);
    against("", packet).fails(3, &["listing `-`", "the listing is not JSON"]);
}

#[test]
fn a_packet_that_makes_no_sense_is_a_mistake_of_the_command_line() {
    let wrong = |packet: &str, said: &str| explain(&[], packet).fails(2, &["error[A001]", said]);
    wrong("tcp 192.0.2.7 to ::1", "are of different families");
    wrong(
        "gre 192.0.2.7 to 192.0.2.8:1",
        "neither `gre` nor `192.0.2.7` is tcp, udp",
    );
    wrong(
        "tcp 192.0.2.7 to 192.0.2.8:1 ct stat dnat",
        "`ct` is neither a ct state, nor `hoplimit N`, nor a field with its value, such as \
         `ct direction`",
    );
    wrong(
        "tcp 192.0.2.7 to 192.0.2.8:1 ip6 dscp 3",
        "an ipv4 packet has no `ip6 dscp`",
    );
    wrong(
        "tcp 192.0.2.7 to 192.0.2.8:1 meta mark x",
        "`x` is no value of `meta mark`",
    );
    let usage = Subject::new().run(&["explain"]);
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
}
