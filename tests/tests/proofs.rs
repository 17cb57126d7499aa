//! What is proved of real rule sets, and what is found when they are wrong.
//!
//! The prover is asked about the built-in policies and about thousands of rule sets that are wrong by
//! one step; every packet that it shows is judged again by the evaluator, and some by a kernel.

use portreeve::proofs::{Proof, prove};
use portreeve_model::evaluate::{HookVerdict, evaluate};
use portreeve_model::goal::Goal;
use portreeve_model::packet::{Hook, Packet};
use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_model::validate::{instantiate, validate};
use portreeve_sdk::Policy;
use portreeve_sdk::testing::{CaseFile, mutants};
use portreeve_tests::guests::workspace;
use portreeve_tests::random;
use portreeve_verify::{Answer, Budget, Inquiry, Outcome, Undecided, Way};
use strict_origin::StrictOrigin;
use tunnel_origin::TunnelOrigin;

/// The rule sets of a policy's case files, each with its goals.
fn planned<P: Policy>(name: &str) -> Vec<(CaseFile, Ruleset, Vec<Goal>)> {
    let cases = workspace().join("policies").join(name).join("cases");
    let files = CaseFile::read_dir(&cases, &P::describe()).expect("case files");
    let planned = files.into_iter().filter_map(|file| {
        let draft = P::decide(&file.inputs).ok()?;
        let ruleset = validate(&draft, &file.feeds).expect("a policy drafts what is valid");
        let goals = P::describe().goals.iter().map(|template| {
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

/// Losing this, a rule set that is wrong by one step could be applied as if it were proved: a rule
/// removed, swapped or turned round, a set or a range wider by one, a family forgotten.
#[test]
fn every_fault_that_lets_a_packet_in_or_out_is_refuted() {
    let (mut found, mut open, mut harmless) = (0, 0, 0);
    let mut check = |file: &CaseFile, ruleset: &Ruleset, goals: &[Goal], draft| {
        let before = ruleset.tables("portreeve");
        for mutant in mutants(&draft, &file.feeds) {
            let Ok(wrong) = validate(&mutant.draft, &file.feeds) else {
                continue;
            };
            let after = wrong.tables("portreeve");
            if !changes_who_gets_in(&before, &after) {
                harmless += 1;
                continue;
            }
            let proofs = prove(&wrong, goals.to_vec());
            let undecided = proofs
                .iter()
                .any(|proof| matches!(proof.answer, Answer::Undecided(Undecided::Uncertain(_))));
            match refuted(&proofs) {
                Some(packet) => {
                    found += 1;
                    let evaluation = evaluate(&after, packet);
                    let was = evaluate(&before, packet);
                    assert_ne!(evaluation.must_accept(), was.must_accept(), "{packet}");
                }
                // A limit that lets some in is no proof, and is said to be none.
                None if undecided => open += 1,
                None => panic!("{}: {} is proved", file.path.display(), mutant.name),
            }
        }
    };
    for (file, ruleset, goals) in planned::<StrictOrigin>("strict-origin") {
        let draft = StrictOrigin::decide(&file.inputs).expect("it was decided before");
        check(&file, &ruleset, &goals, draft);
    }
    for (file, ruleset, goals) in planned::<TunnelOrigin>("tunnel-origin") {
        let draft = TunnelOrigin::decide(&file.inputs).expect("it was decided before");
        check(&file, &ruleset, &goals, draft);
    }
    println!("{found} faults refuted, {open} left open, {harmless} let nobody in or out");
    assert!(found >= 200, "{found} faults");
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
