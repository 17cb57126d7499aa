//! The dry run: what the proofs say of the built-in policies' rule sets, tried on the real kernel.
//!
//! Where this machine allows no namespace, each test says why it was skipped.

use std::path::PathBuf;
use std::sync::LazyLock;

use portreeve::probe::{Difference, Probe, ProbeError, Probed, Subject, probe};
use portreeve_model::evaluate::HookVerdict;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_nft::{TABLE, lift, lower, read};
use portreeve_tests::namespace::Namespace;
use portreeve_tests::program::{self, Subject as Program};
use portreeve_verify::{Budget, Certainty, Inquiry, Way};

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(program::portreeve);

/// The rule set that a built-in policy plans.
fn planned(policy: &str) -> Ruleset {
    let configuration = format!("policy = \"{policy}\"\n");
    let run = Program::new().configured(&configuration, &["plan", "--format", "nft-json"]);
    lift(&run.stdout).expect("the plan is a rule set")
}

/// Packets for every path through the tables.
fn probes(tables: &Tables) -> Vec<Probe> {
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(tables);
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let paths = prover.paths(rules, Way::In, 10_000).expect("few rules");
    let probes = paths.into_iter();
    probes
        .map(|(packet, predicted)| Probe { packet, predicted })
        .collect()
}

/// What the kernel did; none where none can be asked, which is said.
fn try_on_kernel(ruleset: &Ruleset, live: Option<&str>, probes: &[Probe]) -> Option<Probed> {
    let candidate = lower(ruleset);
    let subject = Subject {
        program: PROGRAM.clone(),
        live,
        ..Subject::alone(&candidate)
    };
    match probe(&subject, probes) {
        Err(ProbeError::Here(why)) => {
            eprintln!("skipped: {why}");
            None
        }
        probed => Some(probed.unwrap_or_else(|error| panic!("{error}"))),
    }
}

/// What is in force on a machine with these tables of others.
fn listing(tables: &str) -> Option<String> {
    let namespace = Namespace::new().inspect_err(|why| eprintln!("skipped: {why}"));
    let namespace = namespace.ok()?;
    namespace.nft(&["-f", "-"], tables).expect("nft takes them");
    let listed = namespace.nft(&["-j", "list", "ruleset"], "");
    Some(listed.expect("nft lists them"))
}

/// Both, as one machine.
fn together(ruleset: &Ruleset, listing: &str) -> Tables {
    let mut all = ruleset.tables(TABLE);
    let others = read(listing).expect("a listing");
    all.tables.extend(others.tables);
    all
}

fn show(probed: &Probed) -> String {
    let mut text = format!("{} sent, {} agreed\n", probed.sent, probed.agreed);
    for (obstacle, count) in &probed.not_probed {
        text += &format!("  not probed: {count}: {obstacle}\n");
    }
    for Difference {
        packet,
        predicted,
        observed,
    } in &probed.differences
    {
        text += &format!("  {packet:?}\n    {predicted:?}, observed {observed:?}\n");
    }
    text
}

#[test]
fn the_kernel_agrees_about_every_path_of_the_built_in_policies() {
    for policy in ["strict-origin", "tunnel-origin"] {
        let ruleset = planned(policy);
        let probes = probes(&ruleset.tables(TABLE));
        let Some(probed) = try_on_kernel(&ruleset, None, &probes) else {
            return;
        };
        println!("{policy}: {}", show(&probed));
        assert!(probed.differences.is_empty(), "{policy}: {}", show(&probed));
        let left_out: usize = probed.not_probed.iter().map(|(_, count)| count).sum();
        assert_eq!(probed.sent, probed.agreed);
        assert_eq!(probed.sent + left_out, probes.len());
        assert!(
            probed.sent * 2 > probes.len(),
            "{policy}: {}",
            show(&probed)
        );
    }
}

/// Losing this, a kernel that does something else than the proofs say would go unnoticed.
#[test]
fn a_lie_about_one_packet_is_found_and_named() {
    let ruleset = planned("strict-origin");
    let mut probes = probes(&ruleset.tables(TABLE));
    let Some(honest) = try_on_kernel(&ruleset, None, &probes) else {
        return;
    };
    assert_eq!(honest.differences, []);
    let is_ssh = |probe: &&Probe| {
        let text = format!("{:?}", probe.packet);
        text.contains("dport: 22") && text.contains("Tcp") && text.contains("New")
    };
    let ssh = probes.iter().find(is_ssh).expect("ssh is a path");
    let dropped = probes.iter().find(|it| {
        it.predicted
            .are(|outcome| outcome.verdict() == HookVerdict::Drop)
            == Certainty::Always
    });
    let lie = Probe {
        packet: ssh.packet.clone(),
        predicted: dropped.expect("something is dropped").predicted.clone(),
    };
    let packet = lie.packet.clone();
    probes.push(lie);
    let probed = try_on_kernel(&ruleset, None, &probes).expect("as before");
    let found: Vec<_> = probed.differences.iter().collect();
    assert_eq!(found.len(), 1, "{}", show(&probed));
    assert_eq!(found[0].packet, packet);
    assert_eq!(found[0].observed, HookVerdict::Accept);
    assert_eq!(probed.sent, honest.sent + 1);
}

/// Tables as others write them: what they drop is dropped, whatever we accept.
const OTHERS: &str = "
table inet bans {
    set banned { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 } }
    map where { type inet_service : verdict; elements = { 22 : jump slowly } }
    chain slowly { limit rate 10/second burst 5 packets return; drop; }
    chain early { type filter hook prerouting priority -300; ip saddr @banned drop; }
    chain late {
        type filter hook input priority 10; policy accept;
        iifname wg0 accept
        tcp dport vmap @where
        tcp flags & (fin|syn) == fin|syn drop
        icmp type echo-request ip length > 1000 drop
    }
}
table ip nat {
    chain prerouting { type nat hook prerouting priority -100; tcp dport 8080 redirect to :443; }
}
table bridge other {
    chain c { type filter hook input priority 0; policy drop; }
}
";

#[test]
fn tables_of_others_take_part() {
    let Some(listing) = listing(OTHERS) else {
        return;
    };
    for policy in ["strict-origin", "tunnel-origin"] {
        let ruleset = planned(policy);
        let probes = probes(&together(&ruleset, &listing));
        let Some(probed) = try_on_kernel(&ruleset, Some(&listing), &probes) else {
            return;
        };
        println!("{policy}: {}", show(&probed));
        assert_eq!(probed.differences, [], "{policy}: {}", show(&probed));
        assert!(probed.sent > 200, "{policy}: {}", show(&probed));
        // Without them the kernel does something else: so they were met.
        let alone = try_on_kernel(&ruleset, None, &probes).expect("as before");
        assert!(!alone.differences.is_empty());
    }
}
