//! What the program says of proofs, exposure and changes, and what it refuses for their sake.

use portreeve_tests::namespace::Namespace;
use portreeve_tests::program::Subject;
use serde_json::Value;

use super::{fresh, has_no_table};

/// A configuration with one goal.
fn with_goal(packets: &str, verdict: &str) -> String {
    format!(
        "policy = \"strict-origin\"\n\n[[goal]]\nname = \"mine\"\npackets = \"{packets}\"\n\
         verdict = \"{verdict}\"\n"
    )
}

/// The goal of that name in an answer of `plan`.
fn mine(plan: &Value) -> &Value {
    let goals = plan["plan"]["goals"].as_array().expect("plan has goals");
    goals
        .iter()
        .find(|goal| goal["name"] == "mine")
        .expect("it is one of them")
}

/// Losing this, a rule set that breaks what the operator asked for would be put into the kernel.
#[test]
fn a_goal_that_does_not_hold_stops_apply_with_a_packet_that_shows_it() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    subject.configure(&with_goal("input tcp dport 443 ct new", "accept"));
    let apply = subject.run_in(&namespace, &["apply", "--no-trial"]);
    let says = [
        "error[P001]: it does not hold",
        "is not accepted, by the chain policy of inet portreeve input",
        "goal `mine`",
        "portreeve explain eth0 tcp",
        "machine   unchanged",
    ];
    apply.fails(4, &says);
    has_no_table(&namespace);

    let plan = subject.run_in(&namespace, &["plan"]);
    assert_eq!(plan.code, Some(4), "{}", plan.stderr);
    assert!(
        plan.stdout.contains("proof     `mine`: REFUTED, "),
        "{}",
        plan.stdout
    );
    // Another program can take the witness and judge it again.
    let plan = subject
        .run_in(&namespace, &["plan", "--format", "json"])
        .json();
    let goal = mine(&plan);
    assert_eq!(
        (&goal["answer"], &goal["code"]),
        (&"refuted".into(), &"P001".into())
    );
    let witness = goal["witness"]
        .as_str()
        .expect("a refutation has a witness");
    let explain: Vec<&str> = ["explain"].into_iter().chain(witness.split(' ')).collect();
    subject
        .run_in(&namespace, &explain)
        .succeeds(&["verdict   drop, by the chain policy of inet portreeve input"]);
}

/// Losing this, a goal that no packet can break would be taken for a promise.
#[test]
fn a_goal_about_no_packet_is_not_proved() {
    let contradictory = with_goal("input tcp dport 443 tcp dport 80", "accept");
    let subject = Subject::new();
    subject.configure(&contradictory);
    let plan = subject.run_again(&["plan", "--format", "json"]).json();
    let goal = mine(&plan);
    assert_eq!(
        (&goal["answer"], &goal["code"]),
        (&"cannot decide".into(), &"P006".into())
    );
    let Some((namespace, _)) = fresh() else {
        return;
    };
    let apply = subject.run_in(&namespace, &["apply", "--no-trial"]);
    apply.fails(
        4,
        &[
            "error[P006]",
            "no packet that it is about",
            "machine   unchanged",
        ],
    );
}

/// Losing this, nobody could check a proof again: what was asked, of what, and by whom.
#[test]
fn a_certificate_carries_all_that_a_second_check_needs() {
    let plan = Subject::new().run(&["plan", "--format", "json"]).json();
    let plan = &plan["plan"];
    let is_digest = |value: &Value| {
        let digest = value.as_str().unwrap_or_default();
        digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    assert!(is_digest(&plan["policy"]["sha256"]));
    assert!(is_digest(&plan["feeds"][0]["sha256"]));
    assert!(is_digest(&plan["ruleset_sha256"]));
    assert_eq!(plan["settings"]["ports"], "443");
    assert_eq!(plan["portreeve"], env!("CARGO_PKG_VERSION"));
    assert!(
        plan["assumptions"]
            .as_array()
            .is_some_and(|all| all.len() >= 3)
    );
    let goals = plan["goals"].as_array().expect("goals");
    assert!(goals.len() >= 5, "{goals:?}");
    let ssh = goals
        .iter()
        .find(|goal| goal["name"] == "ssh stays reachable");
    let ssh = ssh.expect("the policy promises it");
    assert_eq!(ssh["hook"], "input");
    assert_eq!(ssh["quantifier"], "all accepted");
    assert_eq!(ssh["answer"], "proved");
    let packets = ssh["packets"].to_string();
    assert!(packets.contains("tcp dport 22"), "{packets}");
}

/// Losing this, nobody would see what an apply opens before it does.
#[test]
fn a_plan_tells_who_reaches_what_and_what_it_would_change() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    run(&["apply", "--no-trial"]).succeeds(&["confirmed"]);
    run(&["plan"]).succeeds(&[
        "exposure  who may begin a conversation, from outside",
        "others   @cloudflare_v4  others   @cloudflare_v6",
        "changes   of what is in force in table inet portreeve: none; no packet fares otherwise",
    ]);
    run(&["plan", "--set", "ports=443,8443"]).succeeds(&[
        "opened  input: drop → accept",
        "tcp dport 8443 ip saddr @cloudflare_v4   (1524736 addresses)",
        "after   accept, by rule `web` in chain inet portreeve input",
    ]);
    run(&["status"]).succeeds(&[
        "exposure  who may begin a conversation, from outside",
        "tcp 443",
    ]);
    // The same, between any two rule sets.
    run(&["apply", "--no-trial", "--set", "ports=443,8443"]).succeeds(&["confirmed"]);
    run(&["diff", "1", "2"]).succeeds(&[
        "changes   from generation 1 to generation 2",
        "opened  input: drop → accept",
    ]);
    run(&["diff", "2", "1"]).succeeds(&["closed  input: accept → drop"]);
    run(&["diff", "2", "planned", "--set", "ports=443,8443"])
        .succeeds(&["none; no packet fares otherwise"]);
    let listing = namespace
        .nft(&["-j", "list", "ruleset"], "")
        .expect("nft lists");
    let file = subject.path("listing.json");
    std::fs::write(&file, listing).expect("a temporary file can be written");
    let file = file.display().to_string();
    run(&["diff", "live", &file]).succeeds(&["none; no packet fares otherwise"]);
    // What stands beside it is on both sides.
    namespace.nft(&["-f", "-"], NO_SSH).expect("nft loads it");
    let planned = ["planned", "--set", "ports=443,8443"];
    let same = "to what is in force on this machine: none; no packet fares otherwise";
    run(&[&["diff"], &planned[..1], &["live"], &planned[1..]].concat()).succeeds(&[same]);
    run(&["diff", "2", "live"]).succeeds(&[same]);
    run(&["diff", "live", "1"]).succeeds(&["closed  input: accept → drop", "tcp dport 8443"]);
    let told = run(&["diff", "1", "2", "--format", "json"]).json();
    let change = &told["difference"]["changes"][0];
    assert_eq!(change["direction"], "opened", "{told}");
    run(&["diff", "1", "99"]).fails(2, &["99", "machine   "]);
}

/// Somebody else's rule that nobody gets past by SSH.
const NO_SSH: &str = "table inet other {
    chain in {
        type filter hook input priority 10; policy accept;
        tcp dport 22 drop
    }
}";

/// Losing this, somebody would lock themselves out by a rule that portreeve did not write.
#[test]
fn whoever_would_be_locked_out_is_refused_unless_they_insist() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    cable(&namespace);
    namespace.nft(&["-f", "-"], NO_SSH).expect("nft loads it");
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    let refused = [
        "error[L001]: new connections to port 22, in by any interface are not let through",
        "by rule 1 in chain inet other in: tcp dport 22 drop",
        "let it through in table inet other, which portreeve does not write",
        "or give `--allow-lockout`",
        "machine   unchanged",
    ];
    run(&["apply"]).fails(4, &refused);
    run(&["apply", "--no-trial"]).fails(4, &refused);
    assert!(!subject.path("state").exists(), "nothing was recorded");
    let plan = run(&["plan"]);
    assert_eq!(plan.code, Some(4), "{}", plan.stderr);
    for said in [
        "lock-out  YOU ARE LOCKED OUT",
        "beside    inet other in (type filter, hook input, priority 10, policy accept): drops what \
         ours let in, such as",
    ] {
        assert!(plan.stdout.contains(said), "{}", plan.stdout);
    }
    let insisted = run(&["apply", "--no-trial", "--allow-lockout"]);
    insisted.succeeds(&["machine   confirmed"]);
    let warned = "as you allowed it: open connections hang at once; there is no trial, so only \
                  somebody at the console takes it back";
    assert!(insisted.stderr.contains(warned), "{}", insisted.stderr);
    run(&["status"]).succeeds(&["drops what ours let in"]);
}

/// An interface to the outside, with an address.
fn cable(namespace: &Namespace) {
    let ip = portreeve_tests::namespace::tool("ip").expect("probed: iproute2 is there");
    let lines = "link add eth0 type veth peer name far\n\
                 addr add 198.51.100.10/24 dev eth0\nlink set eth0 up\nlink set far up\n";
    portreeve_tests::namespace::ip_batch(&mut namespace.command(&ip), lines)
        .expect("a cable can be laid");
}
