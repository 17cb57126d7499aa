//! The rule set that portreeve carries itself, for a machine whose generations are all damaged:
//! SSH and what a host cannot do without come in, nothing else does; outbound is not limited.
//!
//! It needs no policy, no feed, and no file but the one with the SSH port of record.

use std::ops::RangeInclusive;

use portreeve_model::address::Family;
use portreeve_model::draft::{Base, Chain, ChainType, Draft, Match, Rule, Statement, Test};
use portreeve_model::field::PortProtocol;
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};

use super::store::StateDir;

/// The port of SSH where no other is on record (RFC 4253, 4).
const SSH_PORT: u16 = 22;

/// What tells a sender what became of its packets (RFC 792), and echo requests.
const ICMP: [RangeInclusive<u8>; 3] = [3..=3, 8..=8, 11..=12];

/// "Traffic that must not be dropped" (RFC 4890, 4.4.1): errors and echo.
const ICMPV6: [RangeInclusive<u8>; 2] = [1..=4, 128..=129];

/// Neighbour discovery without redirects (RFC 4861).
const NEIGHBOURS: RangeInclusive<u8> = 133..=136;

/// Who listens to which multicast group (RFC 2710, RFC 3810).
const LISTENERS: [RangeInclusive<u8>; 2] = [130..=132, 143..=143];

/// The safe rule set, with SSH on the port that the disk remembers.
pub(super) fn of(state_dir: &StateDir) -> Ruleset {
    ruleset(state_dir.ssh_port().ok().flatten())
}

/// The safe rule set, with SSH on `ssh_port`.
fn ruleset(ssh_port: Option<u16>) -> Ruleset {
    let port = |port: u16| vec![port..=port];
    let rules = vec![
        accept("loopback", [Test::Iifname(vec!["lo".to_owned()])]),
        accept(
            "established and related",
            [Test::CtState(vec![CtState::Established, CtState::Related])],
        ),
        accept("icmp", [Test::IcmpType(Family::Ip, ICMP.to_vec())]),
        accept("icmpv6", [Test::IcmpType(Family::Ip6, ICMPV6.to_vec())]),
        // A hop limit of 255 cannot have come through a router (RFC 4861, 7.1).
        accept(
            "neighbour discovery",
            [
                Test::HopLimit(Family::Ip6, vec![255..=255]),
                Test::IcmpType(Family::Ip6, vec![NEIGHBOURS]),
            ],
        ),
        accept(
            "multicast listeners",
            [Test::IcmpType(Family::Ip6, LISTENERS.to_vec())],
        ),
        // RFC 2131, 4.1 and RFC 8415, 7.2: without its lease the machine loses its address.
        accept(
            "dhcp replies",
            [
                Test::Nfproto(Family::Ip),
                Test::Dport(PortProtocol::Udp, port(68)),
            ],
        ),
        accept(
            "dhcpv6 replies",
            [
                Test::Nfproto(Family::Ip6),
                Test::Dport(PortProtocol::Udp, port(546)),
            ],
        ),
        accept(
            "ssh",
            [Test::Dport(
                PortProtocol::Tcp,
                port(ssh_port.unwrap_or(SSH_PORT)),
            )],
        ),
    ];
    let input = Chain {
        name: "input".to_owned(),
        base: Some(Base {
            chain_type: ChainType::Filter,
            hook: Hook::Input,
            priority: 0,
            policy: ChainPolicy::Drop,
        }),
        rules,
    };
    let draft = Draft {
        sets: Vec::new(),
        field_sets: Vec::new(),
        chains: vec![input],
    };
    validate(&draft, &Feeds::default()).expect("the safe rule set makes sense with any port")
}

fn accept<const N: usize>(label: &str, tests: [Test; N]) -> Rule {
    let test = |test| Match {
        negated: false,
        test,
    };
    Rule {
        label: label.to_owned(),
        matches: tests.into_iter().map(test).collect(),
        statements: vec![Statement::Accept],
    }
}

#[cfg(test)]
mod tests {
    use portreeve_model::evaluate::{HookVerdict, evaluate};

    use super::*;

    #[test]
    fn ssh_comes_in_and_little_else() {
        let check = |port, packet: &str, expected| {
            let packet = packet.parse().expect("is a packet");
            let tables = ruleset(port).tables("portreeve");
            let evaluation = evaluate(&tables, &packet);
            let verdicts: Vec<_> = evaluation.fates.iter().map(|fate| fate.verdict).collect();
            assert_eq!(verdicts, [expected], "{packet}");
        };
        use HookVerdict::{Accept, Drop};
        check(None, "tcp 192.0.2.7:40000 to 198.51.100.10:22", Accept);
        check(
            Some(22022),
            "tcp 192.0.2.7:40000 to 198.51.100.10:22022",
            Accept,
        );
        check(
            Some(22022),
            "tcp [2001:db8::7]:40000 to [2001:db8::1]:22022",
            Accept,
        );
        check(Some(22022), "tcp 192.0.2.7:40000 to 198.51.100.10:22", Drop);
        check(None, "tcp 192.0.2.7:40000 to 198.51.100.10:443", Drop);
        check(
            None,
            "tcp 192.0.2.7:443 to 198.51.100.10:40000 established",
            Accept,
        );
        check(
            None,
            "icmpv6 135 fe80::1 to ff02::1 untracked hoplimit 255",
            Accept,
        );
        check(
            None,
            "icmpv6 135 fe80::1 to ff02::1 untracked hoplimit 64",
            Drop,
        );
    }

    #[test]
    fn every_port_makes_a_rule_set() {
        for port in [0, 1, 546, 65_535] {
            assert_eq!(ruleset(Some(port)).chains().len(), 1);
        }
    }
}
