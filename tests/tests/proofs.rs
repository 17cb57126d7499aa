//! What is proved of real rule sets, and what is found when they are wrong.
//!
//! The prover is asked about the built-in policies and about thousands of rule sets that are wrong by
//! one step; every packet that it shows is judged again by the evaluator, and some by a kernel.

use std::collections::BTreeMap;

use portreeve::probe::{Probe, ProbeError, Subject, probe};
use portreeve::proofs::{Because, Outlook, Proof, difference, prove};
use portreeve_model::address::Family;
use portreeve_model::evaluate::{HookVerdict, evaluate};
use portreeve_model::field::{Field, PortProtocol};
use portreeve_model::goal::{Goal, Quantifier};
use portreeve_model::intervals::Interval;
use portreeve_model::packet::{CtState, Hook, Packet};
use portreeve_model::ruleset::{ChainPolicy, LogLevel, Ruleset, TimeUnit};
use portreeve_model::tables::{Expression, Match, Operand, Tables};
use portreeve_model::validate::{Feeds, instantiate, validate};
use portreeve_nft::lower;
use portreeve_sdk::testing::{CaseFile, mutants};
use portreeve_sdk::{Chain, Policy, draft, prefixes, rule};
use portreeve_tests::guests::workspace;
use portreeve_tests::{program, random};
use portreeve_verify::{
    Answer, Budget, Claim, Direction, Inquiry, Outcome, Reach, Undecided, Way, Why,
};
use strict_origin::StrictOrigin;
use tunnel_origin::TunnelOrigin;

/// The rule sets of a policy's case files, each with its goals.
fn planned<P: Policy>(name: &str) -> Vec<(CaseFile, Ruleset, Vec<Goal>)> {
    let cases = workspace().join("policies").join(name).join("cases");
    let files = CaseFile::read_dir(&cases, &P::describe()).expect("case files");
    let planned = files.into_iter().filter_map(|file| {
        let draft = P::decide(&file.inputs).ok()?;
        let ruleset = validate(&draft, &file.feeds).expect("a policy drafts what is valid");
        let described = P::describe();
        let goals = described.goals.iter().map(|template| {
            instantiate(template, &file.inputs, &file.feeds).expect("a goal makes sense")
        });
        let goals = goals.collect();
        Some((file, ruleset, goals))
    });
    planned.collect()
}

/// Losing this, the built-in policies would promise what nobody has shown.
#[test]
fn every_goal_of_the_built_in_policies_is_proved_for_every_packet() {
    fn check<P: Policy>(name: &str) -> usize {
        let mut proved = 0;
        for (file, ruleset, goals) in planned::<P>(name) {
            for proof in prove(&ruleset, goals) {
                let path = file.path.display();
                assert!(
                    proof.holds(),
                    "{path}: {}: {:?}",
                    proof.goal.name,
                    proof.answer
                );
                proved += 1;
            }
        }
        proved
    }
    assert!(check::<StrictOrigin>("strict-origin") >= 20);
    assert!(check::<TunnelOrigin>("tunnel-origin") >= 10);
}

/// Whether a rule set does something else than another to some packet at input.
fn differs(one: &Tables, other: &Tables) -> bool {
    let mut inquiry = Inquiry::new();
    let (one, other) = (inquiry.rules(one), inquiry.rules(other));
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let equivalent = prover.equivalent(one, other, Way::At(Hook::Input));
    !equivalent.expect("few rules")
}

/// What is wrong with a rule set, by the goals that it breaks.
fn refuted(proofs: &[Proof]) -> Option<&Packet> {
    proofs.iter().find_map(|proof| match &proof.answer {
        Answer::Refuted(refutation) => Some(&refutation.packet),
        Answer::Proved | Answer::Undecided(_) => None,
    })
}

/// A rule set that is wrong by one step, so that packets get in that should not, or the other way
/// round.
struct Fault {
    /// What is wrong, of which case.
    name: String,
    right: Tables,
    wrong: Ruleset,
    goals: Vec<Goal>,
}

/// Every fault of the built-in policies: a rule removed, swapped or turned round, a set or a range
/// wider by one, a family forgotten.
fn faults() -> Vec<Fault> {
    fn of<P: Policy>(name: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (file, ruleset, goals) in planned::<P>(name) {
            let draft = P::decide(&file.inputs).expect("it was decided before");
            for mutant in mutants(&draft, &file.feeds) {
                let Ok(wrong) = validate(&mutant.draft, &file.feeds) else {
                    continue;
                };
                let right = ruleset.tables("portreeve");
                if changes_who_gets_in(&right, &wrong.tables("portreeve")) {
                    faults.push(Fault {
                        name: format!("{}: {}", file.path.display(), mutant.name),
                        right,
                        wrong,
                        goals: goals.clone(),
                    });
                }
            }
        }
        faults
    }
    let mut faults = of::<StrictOrigin>("strict-origin");
    faults.extend(of::<TunnelOrigin>("tunnel-origin"));
    faults
}

impl Fault {
    /// A packet that shows it; none where a limit lets some in, which is said to be no proof.
    fn witness(&self) -> Option<Packet> {
        let proofs = prove(&self.wrong, self.goals.clone());
        let is_open =
            |proof: &Proof| matches!(proof.answer, Answer::Undecided(Undecided::Uncertain(_)));
        let found = refuted(&proofs).cloned();
        let open = proofs.iter().any(is_open);
        assert!(found.is_some() || open, "{} is proved", self.name);
        found
    }
}

/// Losing this, a rule set that is wrong by one step could be applied as if it were proved.
#[test]
fn every_fault_that_lets_a_packet_in_or_out_is_refuted() {
    let (mut found, mut open) = (0, 0);
    for fault in faults() {
        let Some(packet) = fault.witness() else {
            open += 1;
            continue;
        };
        found += 1;
        let wrong = fault.wrong.tables("portreeve");
        let (is, was) = (evaluate(&wrong, &packet), evaluate(&fault.right, &packet));
        assert_ne!(
            is.must_accept(),
            was.must_accept(),
            "{}: {packet}",
            fault.name
        );
    }
    println!("{found} faults refuted, {open} left open");
    assert!(found >= 200, "{found} faults");
}

/// Faults that a kernel is asked about: each fifth of some 2,500, which are some of every kind. Of
/// half of them the packet cannot be sent, such as a message of ICMP whose first bytes matter.
const ASKED_EVERY: usize = 5;

/// Losing this, a proof could be refuted by a packet that no kernel lets in: faults are loaded into
/// one, and met by the packet that shows them.
#[test]
fn the_kernel_confirms_the_packet_that_shows_a_fault() {
    let program = program::portreeve();
    let (mut confirmed, mut left_out) = (0, BTreeMap::<String, usize>::new());
    for fault in faults().iter().step_by(ASKED_EVERY) {
        let Some(packet) = fault.witness() else {
            continue;
        };
        let wrong = fault.wrong.tables("portreeve");
        let mut inquiry = Inquiry::new();
        let rules = inquiry.rules(&wrong);
        let mut prover = inquiry.prover(Budget::DEFAULT);
        let predicted = prover.outcomes(rules, Way::In, &packet).expect("few rules");
        let candidate = lower(&fault.wrong);
        let subject = Subject {
            program: program.clone(),
            ..Subject::alone(&candidate)
        };
        let probed = match probe(&subject, &[Probe { packet, predicted }]) {
            Err(ProbeError::Here(why)) => return eprintln!("skipped: {why}"),
            probed => probed.unwrap_or_else(|error| panic!("{}: {error}", fault.name)),
        };
        assert!(
            probed.differences.is_empty(),
            "{}: {:?}",
            fault.name,
            probed.differences
        );
        confirmed += probed.agreed;
        for (obstacle, count) in probed.not_probed {
            *left_out.entry(obstacle.to_string()).or_default() += count;
        }
    }
    println!("{confirmed} faults confirmed by the kernel; not tried: {left_out:?}");
    assert!(confirmed >= 200, "{confirmed}; not tried: {left_out:?}");
}

/// Whether some packet is accepted by one and not by the other.
fn changes_who_gets_in(before: &Tables, after: &Tables) -> bool {
    if !differs(before, after) {
        return false;
    }
    let mut inquiry = Inquiry::new();
    let (before, after) = (inquiry.rules(before), inquiry.rules(after));
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let changes = prover.changes(before, after, Way::At(Hook::Input));
    let changes = changes.expect("few rules");
    changes
        .iter()
        .any(|it| it.before.may_pass() != it.after.may_pass())
}

fn tables(seed: u64) -> (Ruleset, Tables) {
    let ruleset = random::ruleset(seed);
    let tables = ruleset.tables("portreeve");
    (ruleset, tables)
}

/// Losing this, a proof would be about other rules than those that are loaded: every construct that
/// a policy can say means to the prover what it means to the evaluator.
#[test]
fn every_construct_of_a_policy_means_the_same_to_prover_and_evaluator() {
    let (mut pairs, mut certain) = (0, 0);
    for seed in 0..400 {
        let (_, tables) = tables(seed);
        let mut inquiry = Inquiry::new();
        let rules = inquiry.rules(&tables);
        let mut prover = inquiry.prover(Budget::DEFAULT);
        let mut random = random::Random::new(seed);
        for hook in Hook::ALL {
            let way = Way::At(hook);
            for _ in 0..40 {
                let packet = prover.random_packet(way, &mut |of| random.up_to(of as usize) as u32);
                let outcomes = prover.outcomes(rules, way, &packet).expect("few rules");
                let evaluation = evaluate(&tables, &packet);
                let theirs = |verdict| evaluation.fates.iter().any(|it| it.verdict == verdict);
                let ours = |verdict| outcomes.all().iter().any(|it| it.verdict() == verdict);
                pairs += 1;
                for verdict in [HookVerdict::Accept, HookVerdict::Drop] {
                    let agree = if theirs(HookVerdict::Accept) != theirs(HookVerdict::Drop) {
                        certain += 1;
                        theirs(verdict) == ours(verdict) || !theirs(verdict) && copies(&tables)
                    } else {
                        true
                    };
                    let said: Vec<&Outcome> = outcomes.all().iter().collect();
                    assert!(agree, "seed {seed}: {packet}\n{said:?}\n{evaluation:?}");
                }
            }
        }
    }
    assert!(certain > pairs, "{certain} of {pairs}");
}

/// Whether a rule copies one mark to another: to the diagram the value is then unknown.
fn copies(tables: &Tables) -> bool {
    format!("{tables:?}").contains("value: Field(")
}

/// A draft as a rule set, among the tables of a machine.
fn machine(draft: portreeve_sdk::Draft) -> Tables {
    let ruleset = validate(&draft, &Feeds::default()).expect("a valid draft");
    ruleset.tables("portreeve")
}

fn office() -> portreeve_sdk::Addresses {
    prefixes(["192.0.2.0/24"])
}

/// The answer to a claim about what comes to input.
fn ask(tables: &Tables, clauses: &[Vec<Match>], quantifier: Quantifier) -> Answer {
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(tables);
    let packets = inquiry.packets(clauses);
    inquiry.prover(Budget::DEFAULT).decide(Claim {
        rules,
        way: Way::At(Hook::Input),
        packets,
        quantifier,
    })
}

/// TCP to a port that begins a connection.
fn new_to(port: u128) -> Vec<Match> {
    let is = |field, value| Match {
        left: Expression::Field(field),
        negated: false,
        right: Operand::Numbers(std::iter::once(Interval::single(value)).collect()),
    };
    vec![
        is(Field::CtState, CtState::New as u128),
        is(Field::Dport(PortProtocol::Tcp), port),
    ]
}

/// Losing this, a server could be applied to that lets the operator in ten times a minute.
#[test]
fn what_a_limit_decides_is_never_proved() {
    let limited = rule("ssh")
        .tcp_dport(22)
        .limit_rate(10, TimeUnit::Minute, 5)
        .accept();
    let tables = machine(draft([Chain::input(ChainPolicy::Drop).rule(limited)]));
    for quantifier in [Quantifier::AllAccepted, Quantifier::NoneAccepted] {
        let answer = ask(&tables, &[new_to(22)], quantifier);
        let Answer::Undecided(Undecided::Uncertain(packet)) = answer else {
            panic!("{answer:?}");
        };
        let because = Because::leaves_open(&tables, Way::At(Hook::Input), &packet);
        assert_eq!(because.who, "rule `ssh` in chain inet portreeve input");
        assert_eq!(
            because.expression.as_deref(),
            Some("limit rate 10/minute burst 5 packets")
        );
    }
    // What the limit has no say in is certain.
    assert_eq!(
        ask(&tables, &[new_to(23)], Quantifier::NoneAccepted),
        Answer::Proved
    );
}

/// Losing this, a change could open a port for all, and nobody would be told for whom.
#[test]
fn a_change_is_told_by_the_packets_that_fare_otherwise() {
    let ssh = |from: bool| {
        let rule = rule("ssh").tcp_dport(22);
        let rule = if from { rule.saddr(office()) } else { rule };
        machine(draft([Chain::input(ChainPolicy::Drop).rule(rule.accept())]))
    };
    let (before, after) = (ssh(true), ssh(false));
    let told = difference(&before, &after).expect("few rules");
    let [at_input] = told.as_slice() else {
        panic!("{told:?}");
    };
    let [(change, sides)] = at_input.changes.as_slice() else {
        panic!("{at_input:?}");
    };
    assert_eq!(change.direction(), Direction::Opened);
    let classes: Vec<String> = change.classes.iter().map(ToString::to_string).collect();
    assert_eq!(
        classes,
        [
            "tcp dport 22 ip saddr != 192.0.2.0/24",
            "meta nfproto ipv6 tcp dport 22"
        ]
    );
    assert_eq!(change.classes[0].addresses(), Some((1 << 32) - 256));
    assert_eq!(sides.before.who, "the chain policy of inet portreeve input");
    assert_eq!(sides.after.who, "rule `ssh` in chain inet portreeve input");
    assert!(evaluate(&before, &change.witness).must_drop());
    assert!(evaluate(&after, &change.witness).must_accept());
    assert!(difference(&before, &before).expect("few rules").is_empty());
}

/// Losing this, a hole in one family would look like none.
#[test]
fn a_service_that_is_open_in_one_family_is_seen_beside_the_other() {
    let web = rule("web")
        .meta_nfproto(Family::Ip6)
        .tcp_dport(443)
        .accept();
    let office_only = rule("office").saddr(office()).tcp_dport(443).accept();
    let limited = rule("mail")
        .tcp_dport(25)
        .limit_rate(10, TimeUnit::Minute, 5)
        .accept();
    let chain = Chain::input(ChainPolicy::Drop).rules([web, office_only, limited]);
    let tables = machine(draft([chain]));
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(&tables);
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let exposure = prover
        .exposure(rules, Way::At(Hook::Input))
        .expect("few rules");
    let sources: Vec<(Family, Option<&str>)> = exposure
        .sources
        .iter()
        .map(|it| (it.family, it.addresses.as_ref().map(|it| it.words.as_str())))
        .collect();
    assert_eq!(
        sources,
        [
            (Family::Ip, Some("!= 192.0.2.0/24")),
            (Family::Ip, Some("192.0.2.0/24")),
            (Family::Ip6, None)
        ]
    );
    let reach = |port: &str| {
        let mut services = exposure.services.iter();
        let service = services.find(|it| it.of.as_ref().is_some_and(|of| of.words == port));
        service.expect("somebody reaches it").reach.clone()
    };
    let (open, closed, maybe) = (Some(Reach::Open), Some(Reach::Closed), Some(Reach::Maybe));
    assert_eq!(reach("443"), [closed, open, open]);
    assert_eq!(reach("25"), [maybe, maybe, maybe]);
    assert_eq!(exposure.services.len(), 2);
}

/// Losing this, a rule could stand for years in the belief that it does something.
#[test]
fn rules_that_do_nothing_are_found_with_what_decides_instead() {
    let rules = [
        rule("web").tcp_dport([80, 443]).accept(),
        rule("shadowed").saddr(office()).tcp_dport(443).accept(),
        rule("drops anyway").tcp_dport(25).drop(),
        rule("logs")
            .tcp_dport(26)
            .log("mail ", LogLevel::Info)
            .drop(),
        rule("ssh").tcp_dport(22).accept(),
    ];
    let draft = draft([Chain::input(ChainPolicy::Drop).rules(rules)]);
    let ruleset = validate(&draft, &Feeds::default()).expect("a valid draft");
    let outlook = Outlook::of(&ruleset, None);
    let dead = outlook.dead.expect("few rules");
    let told: Vec<(&str, &str, Option<&str>)> = dead
        .iter()
        .map(|it| {
            let why = match it.why {
                Why::NoWayToIt => "no way to it",
                Why::AsksTheImpossible => "impossible",
                Why::NeverMet(_) => "never met",
                Why::MakesNoDifference(_) => "no difference",
            };
            (
                it.rule.as_str(),
                why,
                it.by.as_ref().map(|by| by.who.as_str()),
            )
        })
        .collect();
    let chain = "in chain inet portreeve input";
    assert_eq!(
        told,
        [
            (
                format!("rule `shadowed` {chain}").as_str(),
                "never met",
                Some(format!("rule `web` {chain}").as_str())
            ),
            (
                format!("rule `drops anyway` {chain}").as_str(),
                "no difference",
                Some(format!("rule `drops anyway` {chain}").as_str())
            ),
        ]
    );
}

/// Losing this, two ways to write one rule set would be two rule sets.
#[test]
fn what_means_the_same_is_the_same_diagram() {
    let one = || rule("a").tcp_dport(22).accept();
    let other = || rule("b").udp_dport(53).drop();
    let chain = || Chain::input(ChainPolicy::Accept);
    let same = |a: portreeve_sdk::Draft, b: portreeve_sdk::Draft| {
        let (a, b) = (machine(a), machine(b));
        let mut inquiry = Inquiry::new();
        let (a, b) = (inquiry.rules(&a), inquiry.rules(&b));
        let mut prover = inquiry.prover(Budget::DEFAULT);
        prover
            .equivalent(a, b, Way::At(Hook::Input))
            .expect("few rules")
    };
    // Rules of which no packet meets both may change places.
    assert!(same(
        draft([chain().rules([one(), other()])]),
        draft([chain().rules([other(), one()])])
    ));
    // A set may be split.
    let split = [
        rule("a").tcp_dport(22).accept(),
        rule("b").tcp_dport(23).accept(),
    ];
    let whole = rule("a").tcp_dport([22, 23]).accept();
    assert!(same(
        draft([chain().rules(split)]),
        draft([chain().rule(whole)])
    ));
    // A jump may be written out.
    let jumps = chain().rule(rule("j").tcp_dport(1..=99).jump("more"));
    let jumps = [jumps, Chain::regular("more").rule(one())];
    assert!(same(draft(jumps), draft([chain().rule(one())])));
    // And what is not the same is not.
    assert!(!same(
        draft([chain().rule(other())]),
        draft([chain().rule(rule("b").udp_dport(54).drop())])
    ));
}
