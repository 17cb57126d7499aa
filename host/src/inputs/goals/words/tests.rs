//! Every condition, and every way to get one wrong.

use super::*;

fn check(text: &str, expected: &[Test]) {
    let found = packets(text).unwrap();
    let tests: Vec<Test> = found.matches.into_iter().map(|it| it.test).collect();
    assert_eq!(tests, expected, "{text}");
}

fn refused(text: &str, expected: &str) {
    let found = packets(text).unwrap_err();
    assert!(found.contains(expected), "{text}: {found}");
}

fn prefixes<const N: usize>(texts: [&str; N]) -> AddressOperand {
    let element = |text: &str| Element::from(text.parse::<Prefix>().unwrap());
    AddressOperand::Elements(texts.map(element).to_vec())
}

#[test]
fn every_condition_is_read() {
    let tcp = PortProtocol::Tcp;
    check("tcp dport 22", &[Test::Dport(tcp, vec![22..=22])]);
    let several = vec![80..=80, 443..=443, 8080..=8090];
    check(
        "tcp dport 80,443,8080-8090",
        &[Test::Dport(tcp, several.clone())],
    );
    check("tcp dport 80, 443, 8080-8090", &[Test::Dport(tcp, several)]);
    let dns = [Test::Sport(PortProtocol::Udp, vec![53..=53])];
    check("udp sport 53", &dns);
    check("sctp", &[Test::L4proto(vec![132..=132])]);
    let all = [6..=6, 1..=1, 58..=58, 47..=47].to_vec();
    check("meta l4proto tcp,icmp,icmpv6,47", &[Test::L4proto(all)]);
    check("icmp", &[Test::L4proto(vec![1..=1])]);
    let echo = vec![8..=8, 13..=13];
    check(
        "icmp type echo-request,13",
        &[Test::IcmpType(Family::Ip, echo)],
    );
    let echo = vec![128..=128];
    check(
        "icmpv6 type echo-request",
        &[Test::IcmpType(Family::Ip6, echo)],
    );
    check("ct new", &[Test::CtState(vec![CtState::New])]);
    let known = vec![CtState::Established, CtState::Related];
    check("ct state established,related", &[Test::CtState(known)]);
    let names = ["eth0", "wg*"].map(str::to_owned).to_vec();
    check("iifname eth0,wg*", &[Test::Iifname(names)]);
    check("oifname lo", &[Test::Oifname(vec!["lo".to_owned()])]);
    let from = prefixes(["192.0.2.0/24", "203.0.113.7"]);
    check(
        "ip saddr 192.0.2.0/24,203.0.113.7",
        &[Test::Saddr(Family::Ip, from)],
    );
    let to = Test::Daddr(Family::Ip6, prefixes(["2001:db8::/32"]));
    check("ip6 daddr 2001:db8::/32", &[to]);
    check("meta nfproto ipv6", &[Test::Nfproto(Family::Ip6)]);
    check("input", &[]);
}

#[test]
fn a_hook_comes_first_and_not_comes_before_its_condition() {
    let found = packets("forward  not tcp dport 22 ct new").unwrap();
    assert_eq!(found.hook, Some(Hook::Forward));
    let negated: Vec<bool> = found.matches.iter().map(|it| it.negated).collect();
    assert_eq!(negated, [true, false]);
    assert_eq!(packets("ct new").unwrap().hook, None);
    // Only the first word is a hook; here it is the name of an interface.
    let names = vec!["input".to_owned()];
    check("iifname input", &[Test::Iifname(names)]);
}

#[test]
fn what_cannot_be_read_is_shown_with_what_can() {
    refused(
        "",
        "no word was found, allowed is a hook (`prerouting`, `input`,",
    );
    refused(
        "tcp dprot 22",
        "found `dprot`, allowed is a condition, which begins with `not`",
    );
    refused("ct new input", "found `input`, allowed is a condition");
    refused("not", "the text ends where a condition");
    refused("not not ct new", "found `not`, allowed is a condition");
    let port = "allowed is a port from 1 to 65535, or a range such as `8080-8090`";
    for bad in [
        "0", "65536", "-1", "+1", "http", "90-80", "1-2-3", "80,,81", ",",
    ] {
        refused(&format!("tcp dport {bad}"), port);
    }
    refused("tcp dport", "the text ends where a port");
    refused("tcp dport 22,", "the text ends where a port");
    refused(
        "ct newish",
        "found `newish`, allowed is a ct state (`invalid`,",
    );
    refused("icmp type echo", "found `echo`, allowed is a type");
    refused("icmpv6 type 256", "found `256`, allowed is a type");
    refused("ip port 22", "found `port`, allowed is `saddr` or `daddr`");
    let prefix = "allowed is a prefix of ip without bits after its length";
    for bad in ["2001:db8::/32", "192.0.2.1/24", "cloudflare"] {
        refused(
            &format!("ip saddr {bad}"),
            &format!("found `{bad}`, {prefix}"),
        );
    }
    refused("meta nfproto ip", "found `ip`, allowed is `ipv4` or `ipv6`");
    refused("meta l4proto tcpp", "found `tcpp`, allowed is a protocol");
    refused(
        "meta mark 1",
        "found `mark`, allowed is `nfproto` or `l4proto`",
    );
    refused(
        &"ct new ".repeat(65),
        "found `ct`, allowed is the end after 64 conditions",
    );
}
