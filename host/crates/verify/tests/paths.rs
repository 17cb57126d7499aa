//! The packets of all paths: between them they meet every rule, and the diagram says of each what
//! the evaluator says.

use std::collections::BTreeSet;

use portreeve_model::evaluate::{HookVerdict, evaluate};
use portreeve_model::packet::Hook;
use portreeve_model::testing::{Dice, tables};
use portreeve_verify::{Budget, Certainty, Inquiry, Way};

#[test]
fn the_evaluator_agrees_about_the_packets_of_every_path() {
    let way = Way::At(Hook::Input);
    let (mut packets, mut certain) = (0, 0);
    for seed in 0..300 {
        let tables = tables(&mut Dice::new(seed));
        let mut inquiry = Inquiry::new();
        let rules = inquiry.rules(&tables);
        let mut prover = inquiry.prover(Budget::DEFAULT);
        for (packet, outcomes) in prover.paths(rules, way, 2_000).expect("few rules") {
            packets += 1;
            let evaluation = evaluate(&tables, &packet);
            let accepted = outcomes.are(|it| it.verdict() == HookVerdict::Accept);
            certain += u32::from(accepted != Certainty::Maybe);
            let wrong = match accepted {
                Certainty::Always => evaluation.must_drop(),
                Certainty::Never => evaluation.must_accept(),
                Certainty::Maybe => false,
            };
            assert!(!wrong, "seed {seed}: {outcomes:?}\n{packet:?}");
        }
    }
    println!("{packets} packets, {certain} with a certain end");
    assert!(packets > 3_000 && certain * 2 > packets);
}

#[test]
fn no_packet_comes_twice_and_there_are_no_more_than_wanted() {
    for seed in 0..30 {
        let tables = tables(&mut Dice::new(seed));
        let mut inquiry = Inquiry::new();
        let rules = inquiry.rules(&tables);
        let mut prover = inquiry.prover(Budget::DEFAULT);
        let mut count = |most| {
            let paths = prover.paths(rules, Way::In, most).expect("few rules");
            let texts: BTreeSet<String> = paths.iter().map(|it| format!("{:?}", it.0)).collect();
            assert_eq!(texts.len(), paths.len());
            paths.len()
        };
        let all = count(2_000);
        assert_eq!(count(1), 1);
        assert!(all >= 1 && count(5) <= 5);
    }
}
