//! One meaning has one form, and the form has the meaning that was drafted.

use super::*;
use crate::address::address_bits;
use crate::evaluate::evaluate;
use crate::field::Field;
use crate::packet::{Loaded, Packet};

fn same(one: Draft, other: Draft) {
    let feeds = Feeds::default();
    assert_eq!(
        validate(&one, &feeds).unwrap(),
        validate(&other, &feeds).unwrap()
    );
}

fn same_matches(one: Vec<Match>, other: Vec<Match>) {
    let drafted = |matches| input(vec![rule(matches, vec![Statement::Accept])]);
    same(drafted(one), drafted(other));
}

fn dport(ports: &[core::ops::RangeInclusive<u16>]) -> Test {
    Test::Dport(PortProtocol::Tcp, ports.to_vec())
}

#[test]
fn what_no_packet_can_meet_is_left_out() {
    let base = || chain("in", at(Hook::Input, 0), vec![jumps("a")]);
    let regular = |name: &str, target: &str| chain(name, None, vec![jumps(target)]);
    let leaf = |name: &str| chain(name, None, vec![does(Statement::Accept)]);
    // `idle` leads to `b`, and nothing leads to `idle`.
    let idle = chains(vec![base(), leaf("a"), regular("idle", "b"), leaf("b")]);
    same(idle, chains(vec![base(), leaf("a")]));
    let with_set = Draft {
        sets: vec![set("s", Family::Ip, vec![SetNode::Elements(Vec::new())])],
        ..chains(vec![base(), leaf("a")])
    };
    same(with_set, chains(vec![base(), leaf("a")]));
}

#[test]
fn what_follows_from_another_match_is_left_out() {
    let tcp = || is(Test::L4proto(vec![6..=6]));
    let web = || is(dport(&[443..=443]));
    same_matches(vec![tcp(), web()], vec![web()]);
    same_matches(vec![is(Test::L4proto(vec![1..=20])), web()], vec![web()]);
    same_matches(
        vec![is_not(Test::L4proto(vec![17..=17])), web()],
        vec![web()],
    );
    let address = || is(saddr(Family::Ip, &[prefix("192.0.2.0/24")]));
    same_matches(
        vec![address(), is(Test::Nfproto(Family::Ip))],
        vec![address()],
    );
    same_matches(vec![web(), web()], vec![web()]);
}

#[test]
fn the_order_in_which_things_are_said_does_not_matter() {
    let address = || is(saddr(Family::Ip, &[prefix("192.0.2.0/24")]));
    let state = || is(Test::CtState(vec![CtState::New]));
    same_matches(vec![state(), address()], vec![address(), state()]);
    same_matches(
        vec![is(Test::CtState(vec![
            CtState::Related,
            CtState::Established,
        ]))],
        vec![is(Test::CtState(vec![
            CtState::Established,
            CtState::Related,
        ]))],
    );
    let names = |names: [&str; 3]| is(Test::Iifname(names.map(ToString::to_string).to_vec()));
    same_matches(vec![names(["b", "a", "b"])], vec![names(["a", "b", "a"])]);
    let one = || chain("in", at(Hook::Input, 0), Vec::new());
    let other = || chain("early", at(Hook::Input, -10), Vec::new());
    let third = || chain("a", None, Vec::new());
    same(
        chains(vec![one(), other(), third()]),
        chains(vec![third(), other(), one()]),
    );
    let sets = |names: [&str; 2]| {
        let none = || vec![SetNode::Elements(Vec::new())];
        let mut draft = input(Vec::new());
        draft.sets = names.map(|name| set(name, Family::Ip, none())).to_vec();
        draft
    };
    same(sets(["a", "b"]), sets(["b", "a"]));
}

#[test]
fn values_are_merged_and_negation_of_few_values_is_spelt_out() {
    same_matches(
        vec![is(dport(&[81..=90, 70..=80, 75..=85]))],
        vec![is(dport(&[70..=90]))],
    );
    same_matches(
        vec![is(saddr(
            Family::Ip,
            &[prefix("192.0.2.0/25"), prefix("192.0.2.128/25")],
        ))],
        vec![is(saddr(Family::Ip, &[range("192.0.2.0", "192.0.2.255")]))],
    );
    same_matches(
        vec![is_not(Test::CtState(vec![
            CtState::Established,
            CtState::Related,
        ]))],
        vec![is(Test::CtState(vec![
            CtState::Invalid,
            CtState::New,
            CtState::Untracked,
        ]))],
    );
    same_matches(
        vec![is_not(Test::Nfproto(Family::Ip))],
        vec![is(Test::Nfproto(Family::Ip6))],
    );
}

/// Tests that touch every field, so that triples of them meet in every way.
fn tests() -> Vec<Test> {
    let udp = |port| Test::Sport(PortProtocol::Udp, vec![port]);
    vec![
        Test::Iifname(vec!["eth0".to_string()]),
        Test::Nfproto(Family::Ip),
        Test::Nfproto(Family::Ip6),
        saddr(Family::Ip, &[prefix("192.0.2.0/24")]),
        saddr(Family::Ip6, &[prefix("2001:db8::/32")]),
        Test::HopLimit(Family::Ip6, vec![255..=255]),
        Test::L4proto(vec![6..=6, 17..=17]),
        Test::L4proto(vec![58..=58]),
        dport(&[22..=22, 443..=443]),
        udp(53..=53),
        Test::IcmpType(Family::Ip6, vec![128..=137]),
        Test::CtState(vec![CtState::New, CtState::Untracked]),
    ]
}

fn packets() -> Vec<Packet> {
    let texts = [
        "eth0 tcp 192.0.2.7 > 198.51.100.1:22",
        "eth1 tcp 192.0.3.7 > 198.51.100.1:443 established",
        "eth0 tcp 192.0.2.7 > 198.51.100.1:80 invalid",
        "eth0 udp 192.0.2.7:53 > 198.51.100.1:4000 established",
        "eth0 icmp echo-request 192.0.2.7 > 198.51.100.1",
        "eth0 tcp 2001:db8::1 > [2001:db8::2]:22",
        "lo udp [2001:db9::1]:54 > [2001:db8::2]:53",
        "eth0 icmpv6 nd-neighbor-solicit 2001:db8::1 > 2001:db8::2",
        "eth0 icmpv6 echo-request 2001:db8::1 > 2001:db8::2 hoplimit 64",
        "eth0 protocol 47 192.0.2.7 > 198.51.100.1",
        "eth0 protocol 1 2001:db8::1 > 2001:db8::2 hoplimit 255",
    ];
    texts.map(|text| text.parse().unwrap()).to_vec()
}

/// What a drafted match means, said once more and without any intervals.
fn holds(condition: &Match, packet: &Packet) -> bool {
    let family = packet.addresses.family();
    let within = |found: Option<u128>, ranges: &[(u128, u128)]| {
        found.map(|value| {
            ranges
                .iter()
                .any(|(first, last)| (first..=last).contains(&&value))
        })
    };
    let bytes = |ranges: &[core::ops::RangeInclusive<u8>]| -> Vec<(u128, u128)> {
        ranges
            .iter()
            .map(|r| ((*r.start()).into(), (*r.end()).into()))
            .collect()
    };
    let ports = |ranges: &[core::ops::RangeInclusive<u16>]| -> Vec<(u128, u128)> {
        ranges
            .iter()
            .map(|r| ((*r.start()).into(), (*r.end()).into()))
            .collect()
    };
    let load = |field| match packet.load(field) {
        Loaded::Value(value) => Some(value),
        Loaded::Absent | Loaded::Unknown => None,
    };
    let found = match &condition.test {
        Test::Iifname(names) => Some(names.contains(&packet.iifname)),
        Test::Nfproto(wanted) => Some(family == *wanted),
        Test::Saddr(wanted, AddressOperand::Elements(elements)) => (family == *wanted).then(|| {
            elements.iter().any(|element| match element {
                Element::Prefix { address, length } => {
                    let shift = u32::from(family.bits() - length);
                    let bits = |address| address_bits(address) >> shift;
                    bits(packet.addresses.saddr()) == bits(*address)
                }
                Element::Range { .. } => unreachable!("the table has prefixes only"),
            })
        }),
        Test::HopLimit(wanted, ranges) => {
            let loaded = (family == *wanted).then_some(packet.hop_limit.into());
            within(loaded, &bytes(ranges))
        }
        Test::L4proto(ranges) => within(Some(packet.protocol().into()), &bytes(ranges)),
        Test::Sport(of, ranges) => within(load(Field::Sport(*of)), &ports(ranges)),
        Test::Dport(of, ranges) => within(load(Field::Dport(*of)), &ports(ranges)),
        Test::IcmpType(of, ranges) => within(load(Field::IcmpType(*of)), &bytes(ranges)),
        Test::CtState(states) => Some(states.contains(&packet.ct_state)),
        other => unreachable!("not in the table: {other:?}"),
    };
    found.is_some_and(|found| found != condition.negated)
}

/// Every triple of matches, negated or not: the canonical rule accepts the packets that the
/// drafted one means, and a rule is called impossible only when it is.
#[test]
fn the_canonical_form_means_what_was_drafted() {
    let matches: Vec<Match> = tests()
        .into_iter()
        .flat_map(|test| [is(test.clone()), is_not(test)])
        .collect();
    let packets = packets();
    let (mut valid, mut impossible) = (0, 0);
    for a in &matches {
        for b in &matches {
            for c in &matches {
                let all = vec![a.clone(), b.clone(), c.clone()];
                let draft = input(vec![rule(all.clone(), vec![Statement::Accept])]);
                let ruleset = validate(&draft, &Feeds::default());
                match &ruleset {
                    Ok(_) => valid += 1,
                    Err(_) => impossible += 1,
                }
                let tables = ruleset.as_ref().map(|ruleset| ruleset.tables("ours"));
                for packet in &packets {
                    let expected = all.iter().all(|condition| holds(condition, packet));
                    let found = tables
                        .as_ref()
                        .is_ok_and(|tables| evaluate(tables, packet).must_accept());
                    assert_eq!(found, expected, "{all:?} on {packet}");
                }
            }
        }
    }
    assert!(
        valid > 1_000 && impossible > 1_000,
        "{valid} valid, {impossible} impossible"
    );
}
