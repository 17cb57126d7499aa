//! Chains of every type, and what is asked and done in them.

use core::net::IpAddr;

use super::*;
use crate::draft::{ChainType, Nat, NumberField, Target, Verdict};
use crate::ruleset::{Mark, MarkValue};

fn typed(chain_type: ChainType, hook: Hook, priority: i32) -> Option<Base> {
    let policy = ChainPolicy::Accept;
    Some(Base {
        chain_type,
        hook,
        priority,
        policy,
    })
}

/// One rule in a chain of this type.
fn at_place(base: Option<Base>, rule: draft::Rule) -> Draft {
    chains(vec![chain("in", base, vec![rule])])
}

fn to(address: &str, ports: Option<core::ops::RangeInclusive<u16>>) -> Target {
    let address: IpAddr = address.parse().unwrap();
    let (first, last) = (address, address);
    Target { first, last, ports }
}

#[test]
fn a_chain_has_a_type_that_its_hook_knows() {
    let subject = "chain `in`";
    let alone = |base| chains(vec![chain("in", base, Vec::new())]);
    let rows = [
        (
            typed(ChainType::Nat, Hook::Forward, 0),
            "V034",
            "a chain of type nat is at hook forward, allowed is prerouting, input, output and \
             postrouting",
        ),
        (
            typed(ChainType::Route, Hook::Prerouting, 0),
            "V034",
            "a chain of type route is at hook prerouting, allowed is output",
        ),
        (
            typed(ChainType::Nat, Hook::Prerouting, -200),
            "V035",
            "priority of a chain of type nat is -200, allowed is above -200",
        ),
        (
            typed(ChainType::Nat, Hook::Prerouting, -100).map(|base| Base {
                policy: ChainPolicy::Drop,
                ..base
            }),
            "V036",
            "a chain of type nat has the chain policy drop",
        ),
    ];
    for (base, code, message) in rows {
        one(&alone(base), code, subject, message);
    }
    for base in [
        typed(ChainType::Nat, Hook::Input, -199),
        typed(ChainType::Route, Hook::Output, -150),
    ] {
        check(&alone(base), &[]);
    }
}

#[test]
fn nat_is_done_where_the_kernel_does_it() {
    let dnat = || does(Statement::Nat(Nat::Dnat(to("192.0.2.1", None))));
    let filter = at_place(typed(ChainType::Filter, Hook::Prerouting, -100), dnat());
    let message = "dnat in a chain of type filter at hook prerouting, allowed is type nat at \
                   prerouting and output";
    one(&filter, "V037", IN, message);
    let masquerade = does(Statement::Nat(Nat::Masquerade { ports: None }));
    let message = "masquerade in a chain of type nat at hook prerouting, allowed is type nat at \
                   postrouting";
    let prerouting = typed(ChainType::Nat, Hook::Prerouting, -100);
    one(&at_place(prerouting, masquerade), "V037", IN, message);
    check(&at_place(prerouting, dnat()), &[]);
}

#[test]
fn ports_are_those_of_a_protocol() {
    let prerouting = typed(ChainType::Nat, Hook::Prerouting, -100);
    let nat = || vec![Statement::Nat(Nat::Dnat(to("::1", Some(80..=80))))];
    let message = "NAT of ports in a rule for no one protocol with ports";
    let any = rule(Vec::new(), nat());
    one(&at_place(prerouting, any), "V038", IN, message);
    let port = Test::Dport(PortProtocol::Tcp, vec![443..=443]);
    check(&at_place(prerouting, rule(vec![is(port)], nat())), &[]);
}

#[test]
fn conntrack_is_told_before_it_looks() {
    let notrack = || does(Statement::Notrack);
    let late = at_place(typed(ChainType::Filter, Hook::Prerouting, 0), notrack());
    let message = "notrack at prerouting priority 0 comes too late, allowed is prerouting and \
                   output up to -200";
    one(&late, "V039", IN, message);
    check(
        &at_place(typed(ChainType::Filter, Hook::Output, -300), notrack()),
        &[],
    );
    let raw = typed(ChainType::Filter, Hook::Prerouting, -300);
    let (mark, value) = (Mark::Connection, MarkValue::Number(1));
    for (statement, what) in [
        (Statement::SetMark(mark, value), "ct mark"),
        (
            Statement::CtCount {
                count: 1,
                over: true,
            },
            "ct count",
        ),
    ] {
        let message =
            format!("{what} is not known at prerouting priority -300, before conntrack at -200");
        one(&at_place(raw, does(statement)), "V026", IN, &message);
    }
    let value = MarkValue::Number(1);
    check(
        &at_place(raw, does(Statement::SetMark(Mark::Packet, value))),
        &[],
    );
}

#[test]
fn a_field_is_asked_where_it_is_known() {
    let user = || {
        rule(
            vec![is(Test::Number(NumberField::Skuid, vec![0..=0]))],
            vec![Statement::Accept],
        )
    };
    bad(user(), "V025", "meta skuid is not known at hook input");
    check(
        &at_place(typed(ChainType::Filter, Hook::Output, 0), user()),
        &[],
    );
    let back = Test::Number(NumberField::ReversePath { mark: false }, vec![0..=0]);
    let back = rule(vec![is(back)], vec![Statement::Drop]);
    bad(
        back.clone(),
        "V025",
        "fib saddr . iif oif is not known at hook input",
    );
    check(
        &at_place(typed(ChainType::Filter, Hook::Prerouting, 0), back),
        &[],
    );
}

#[test]
fn a_verdict_map_leads_to_chains_as_a_jump_does() {
    let map = |target: &str| {
        let elements = vec![(
            vec![draft::Values::Numbers(22..=22)],
            Verdict::Jump(target.to_string()),
        )];
        let fields = vec![draft::Selector::Dport(PortProtocol::Tcp)];
        does(Statement::VerdictMap { fields, elements })
    };
    bad(map("ssh"), "V009", "there is no chain `ssh`");
    let ssh = chain("ssh", None, vec![map("ssh")]);
    let circle = chains(vec![chain("in", at(Hook::Input, 0), vec![map("ssh")]), ssh]);
    one(
        &circle,
        "V011",
        "draft",
        "jumps lead round in a circle: `ssh` > `ssh`",
    );
}
