//! SSH from anywhere, nothing else comes in: for a machine that is served through a tunnel which
//! it opens itself.
//!
//! Only packets that are addressed to the machine are judged. Loopback is free, so the tunnel's
//! own program reaches local services; what it sends is left alone, and replies come back.

use portreeve_sdk::{
    Chain, ChainPolicy, CtState, Description, Draft, GoalTemplate, Inputs, Policy, Refusal,
    Settings, Values, describe, draft, essentials, goal, packets, policy, rule,
};

/// The policy.
#[derive(Debug)]
pub struct TunnelOrigin;

impl Policy for TunnelOrigin {
    fn describe() -> Description {
        let summary =
            "SSH from anywhere, nothing else comes in; an outbound tunnel serves the rest.";
        describe("tunnel-origin", env!("CARGO_PKG_VERSION"), summary)
            .port("ssh-port", 22, "where sshd listens; open to every address")
            .settings(essentials::settings())
            .goal(ssh_stays_reachable())
            .goal(nothing_else_comes_in())
            .goal(families_fare_alike())
            .build()
    }

    fn decide(inputs: &Inputs) -> Result<Draft, Refusal> {
        // No `ct state new`: a connection that conntrack has forgotten, or never saw because
        // the rules were loaded later, must not lock the operator out.
        let input = Chain::input(ChainPolicy::Drop)
            .rules(essentials::first(inputs))
            .rule(rule("ssh").tcp_dport(inputs.port("ssh-port")).accept())
            .rules(essentials::last(inputs));
        Ok(draft([input]))
    }
}

policy!(TunnelOrigin);

fn ssh_stays_reachable() -> GoalTemplate {
    let new = packets()
        .tcp_dport_setting("ssh-port")
        .ct_state(CtState::New);
    goal("ssh stays reachable").all_accepted([new])
}

fn nothing_else_comes_in() -> GoalTemplate {
    let ssh = packets()
        .ct_state(!Values::from(CtState::Invalid))
        .tcp_dport_setting("ssh-port");
    let accepted = essentials::packets().into_iter().chain([ssh]);
    goal("only ssh and what a host needs come in").exactly_these_accepted(accepted)
}

fn families_fare_alike() -> GoalTemplate {
    goal("IPv4 and IPv6 fare alike").families_alike(essentials::packets_alike())
}

#[cfg(test)]
mod tests {
    use portreeve_sdk::testing;

    use super::*;

    #[test]
    fn every_case_comes_out_as_its_file_says() {
        testing::run_cases::<TunnelOrigin>("cases");
    }

    #[test]
    fn a_rule_that_is_wrong_by_one_step_breaks_a_case() {
        let tally = testing::assert_cases_kill_all_mutants::<TunnelOrigin>("cases");
        println!("{tally}");
        assert!(tally.killed >= 190, "{tally}");
    }

    #[test]
    fn the_goals_hold_at_every_boundary() {
        testing::check_goals::<TunnelOrigin>("cases", 10_000);
    }

    #[test]
    fn a_change_of_the_rules_is_seen_by_a_reviewer() {
        testing::assert_snapshots::<TunnelOrigin>("cases", "snapshots");
    }
}
