//! SSH from anywhere, the web ports from the feed `cloudflare` only, nothing else comes in.
//!
//! Only packets that are addressed to the machine are judged: what it sends and what it forwards
//! is left alone.

use portreeve_sdk::{
    Chain, ChainPolicy, CtState, Description, Draft, GoalTemplate, Inputs, Policy, Refusal,
    Settings, Values, describe, draft, essentials, feed, goal, packets, policy, rule,
};

/// Who may open the ports.
const FEED: &str = "cloudflare";

/// The policy.
#[derive(Debug)]
pub struct StrictOrigin;

impl Policy for StrictOrigin {
    fn describe() -> Description {
        let summary =
            "SSH from anywhere, the web ports from Cloudflare only, nothing else comes in.";
        describe("strict-origin", env!("CARGO_PKG_VERSION"), summary)
            .port("ssh-port", 22, "where sshd listens; open to every address")
            .ports(
                "ports",
                443,
                1..=64,
                "TCP ports that are open to Cloudflare only",
            )
            .settings(essentials::settings())
            .feed(FEED, "the addresses that may open `ports`")
            .goal(ssh_stays_reachable())
            .goal(nothing_else_comes_in())
            .goal(nobody_else_opens_the_ports())
            .goal(the_feed_fares_alike())
            .goal(others_fare_alike())
            .build()
    }

    fn decide(inputs: &Inputs) -> Result<Draft, Refusal> {
        let (ssh, ports) = (inputs.port("ssh-port"), inputs.ports("ports"));
        if ports.iter().any(|range| range.contains(&ssh)) {
            return Err(Refusal::inputs(format!(
                "`ports` contains {ssh}, which is `ssh-port`: it is open to every address already; \
                 take it out of `ports`"
            )));
        }
        both_families(inputs)?;
        // No `ct state new`: a connection that conntrack has forgotten, or never saw because
        // the rules were loaded later, must not lock the operator out.
        let input = Chain::input(ChainPolicy::Drop)
            .rules(essentials::first(inputs))
            .rule(rule("ssh").tcp_dport(ssh).accept())
            .rule(rule("web").saddr(feed(FEED)).tcp_dport(ports).accept())
            .rules(essentials::last(inputs));
        Ok(draft([input]))
    }
}

policy!(StrictOrigin);

/// A feed without one family would close the ports for half of the clients.
fn both_families(inputs: &Inputs) -> Result<(), Refusal> {
    let summary = inputs.feed(FEED);
    for (family, count) in [
        ("IPv4", summary.ip_prefixes),
        ("IPv6", summary.ip6_prefixes),
    ] {
        if count == 0 {
            return Err(Refusal::inputs(format!(
                "feed `{FEED}` holds no {family} prefix, so nobody could open the ports over \
                 {family}; wait for a whole answer, or take the one that portreeve carries"
            )));
        }
    }
    Ok(())
}

fn ssh_stays_reachable() -> GoalTemplate {
    let new = packets()
        .tcp_dport_setting("ssh-port")
        .ct_state(CtState::New);
    goal("ssh stays reachable").all_accepted([new])
}

fn nothing_else_comes_in() -> GoalTemplate {
    let valid = || packets().ct_state(!Values::from(CtState::Invalid));
    let own = [
        valid().tcp_dport_setting("ssh-port"),
        valid().tcp_dport_setting("ports").saddr(feed(FEED)),
    ];
    let accepted = essentials::packets().into_iter().chain(own);
    goal("only ssh, the web ports from the feed, and what a host needs come in")
        .exactly_these_accepted(accepted)
}

/// What [`nothing_else_comes_in`] says of them too, in a line that can be read alone.
fn nobody_else_opens_the_ports() -> GoalTemplate {
    let stranger = packets()
        .iifname(!Values::from("lo"))
        .saddr(!feed(FEED))
        .tcp_dport_setting("ports")
        .ct_state(CtState::New);
    goal("nobody outside the feed opens the web ports").none_accepted([stranger])
}

fn the_feed_fares_alike() -> GoalTemplate {
    let members = essentials::packets_alike().map(|packets| packets.saddr(feed(FEED)));
    goal("the feed fares alike over IPv4 and IPv6").families_alike(members)
}

fn others_fare_alike() -> GoalTemplate {
    let others = essentials::packets_alike().map(|packets| packets.saddr(!feed(FEED)));
    goal("everybody else fares alike over IPv4 and IPv6").families_alike(others)
}

#[cfg(test)]
mod tests {
    use portreeve_sdk::testing;

    use super::*;

    #[test]
    fn every_case_comes_out_as_its_file_says() {
        testing::run_cases::<StrictOrigin>("cases");
    }

    #[test]
    fn a_rule_that_is_wrong_by_one_step_breaks_a_case() {
        let tally = testing::assert_cases_kill_all_mutants::<StrictOrigin>("cases");
        println!("{tally}");
        assert!(tally.killed >= 220, "{tally}");
    }

    #[test]
    fn the_goals_hold_at_every_boundary() {
        testing::check_goals::<StrictOrigin>("cases", 10_000);
    }

    #[test]
    fn a_change_of_the_rules_is_seen_by_a_reviewer() {
        testing::assert_snapshots::<StrictOrigin>("cases", "snapshots");
    }
}
