//! A policy's own goals, tried on the boundaries of what it drafts.
//!
//! This is a search for a counterexample, not a proof: the host's verifier decides goals for every
//! packet. But it needs no host, and it finds a slip while the policy is being written.

use std::collections::HashMap;
use std::path::Path;

use portreeve_model::address::Family;
use portreeve_model::evaluate::{Evaluation, evaluate};
use portreeve_model::field::Field;
use portreeve_model::goal::{Goal, Quantifier};
use portreeve_model::packet::{CtState, Loaded, Packet, Transport};
use portreeve_model::ruleset::Ruleset;
use portreeve_model::validate::instantiate;

use super::{CaseFile, Expected, case_files, lattice, ruleset_of, walk};
use crate::Policy;

/// Tries every goal of `P` on boundary packets, for the inputs of every case file in `dir` that
/// expects a draft. At least `packets_min` packets are tried in all.
///
/// ```
/// # use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
/// # use portreeve_sdk::{describe, draft, goal, packets, rule};
/// # struct SshOnly;
/// # impl Policy for SshOnly {
/// #     fn describe() -> Description {
/// #         let ssh = packets().tcp_dport(22);
/// #         let only = goal("only ssh comes in").exactly_these_accepted([ssh]);
/// #         describe("ssh-only", "1", "SSH only.").goal(only).build()
/// #     }
/// #     fn decide(_: &Inputs) -> Result<Draft, Refusal> {
/// #         let ssh = rule("ssh").tcp_dport(22).accept();
/// #         Ok(draft([Chain::input(ChainPolicy::Drop).rule(ssh)]))
/// #     }
/// # }
/// # let dir = std::env::temp_dir().join(format!("portreeve-doc-goal-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let case = "[[case]]\npacket = 'tcp ::1 > [::1]:22'\nverdict = 'accept'\nwhy = 'ssh'";
/// # std::fs::write(dir.join("default.toml"), case)?;
/// portreeve_sdk::testing::check_goals::<SshOnly>(&dir, 100);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// When a goal is broken, malformed, or about none of the packets; or when too few are tried.
pub fn check_goals<P: Policy>(dir: impl AsRef<Path>, packets_min: usize) {
    let mut tried = 0;
    for file in case_files::<P>(dir.as_ref()) {
        if matches!(file.expected, Expected::Packets(_)) {
            tried += check_file::<P>(&file);
        }
    }
    assert!(
        tried >= packets_min,
        "{tried} packets tried, {packets_min} are needed"
    );
}

/// How many packets the goals were tried on.
fn check_file<P: Policy>(file: &CaseFile) -> usize {
    let path = file.path.display();
    let ruleset = ruleset_of::<P>(file);
    let goals: Vec<Goal> = P::describe()
        .goals
        .iter()
        .map(
            |template| match instantiate(template, &file.inputs, &file.feeds) {
                Ok(goal) => goal,
                Err(found) => panic!("{path}: {}", found[0]),
            },
        )
        .collect();
    let packets = lattice(&ruleset, &goals);
    let tables = ruleset.tables("goal");
    let evaluated = |packet| (packet, evaluate(&tables, packet));
    let evaluated: Vec<_> = packets.iter().map(evaluated).collect();
    for goal in &goals {
        let concerned = packets.iter().any(|packet| goal.concerns(packet, &ruleset));
        assert!(concerned, "{path}: goal `{}` is about no packet", goal.name);
        if let Some((packet, _)) = evaluated
            .iter()
            .find(|(packet, evaluation)| !goal.is_kept(packet, evaluation, &ruleset))
        {
            panic!("{path}: {}", broken(goal, packet, &ruleset));
        }
        if let Some([accepted, other]) = unlike(goal, &evaluated, &ruleset) {
            panic!(
                "{path}: goal `{}` does not hold\n  accepted  {accepted}\n  but not   {other}",
                goal.name
            );
        }
    }
    packets.len()
}

/// Of a goal that both families fare alike, two packets that do not: one that is accepted and one
/// of the other family that is not, or may not be.
fn unlike<'p>(
    goal: &Goal,
    packets: &[(&'p Packet, Evaluation<'_>)],
    ruleset: &Ruleset,
) -> Option<[&'p Packet; 2]> {
    if goal.quantifier != Quantifier::FamiliesAlike {
        return None;
    }
    // By what both families have: the first packet of each family that is accepted, and that is not.
    let mut seen: HashMap<Common<'_>, [[Option<&Packet>; 2]; 2]> = HashMap::new();
    for (packet, evaluation) in packets {
        if !goal.concerns(packet, ruleset) {
            continue;
        }
        let accepted = evaluation.must_accept();
        let family = usize::from(packet.addresses.family() == Family::Ip6);
        let seen = seen.entry(common(packet)).or_default();
        if let Some(other) = seen[1 - family][usize::from(!accepted)] {
            return Some(if accepted {
                [packet, other]
            } else {
                [other, packet]
            });
        }
        seen[family][usize::from(accepted)].get_or_insert(packet);
    }
    None
}

type Common<'p> = (&'p str, &'p str, Transport, CtState, Vec<(Field, Loaded)>);

/// What packets of the other family can have as well.
fn common(packet: &Packet) -> Common<'_> {
    let transport = match packet.transport {
        Transport::Icmp { .. } => Transport::Other(packet.protocol()),
        transport => transport,
    };
    let facts = packet.facts.iter().map(|(field, value)| (*field, *value));
    (
        &packet.iifname,
        &packet.oifname,
        transport,
        packet.ct_state,
        facts
            .filter(|(field, _)| field.family().is_none())
            .collect(),
    )
}

fn broken(goal: &Goal, packet: &Packet, ruleset: &Ruleset) -> String {
    let not = if goal.concerns(packet, ruleset) {
        ""
    } else {
        "not "
    };
    format!(
        "goal `{}` does not hold\n  packet    {packet}\n  goal      {not}about this packet\n  \
         walk      {}",
        goal.name,
        walk(ruleset, packet).join("\n            ")
    )
}
