//! Numbers, bits and fields together.

use super::*;
use crate::draft::{
    BitField, Contents, ExtensionHeader, FieldSet, NumberField, Selector, SetOperation, Values,
    Verdict,
};

const DPORT: Selector = Selector::Dport(PortProtocol::Tcp);
const SADDR: Selector = Selector::Saddr(Family::Ip);

fn asks(test: Test) -> draft::Rule {
    rule(vec![is(test)], vec![Statement::Accept])
}

fn ports(first: u16, last: u16) -> Values {
    Values::Numbers(first..=last)
}

fn address(text: &str) -> Values {
    let address = text.parse().unwrap();
    let (first, last) = (address, address);
    Values::Addresses(Element::Range { first, last })
}

fn interface(name: &str) -> Values {
    Values::Interface(name.to_string())
}

fn together(fields: &[Selector], elements: &[&[Values]]) -> draft::Rule {
    let elements = elements.iter().map(|values| values.to_vec());
    asks(Test::Concatenation {
        fields: fields.to_vec(),
        elements: elements.collect(),
    })
}

fn with_set(contents: Contents, rule: draft::Rule) -> Draft {
    let set = FieldSet {
        name: "s".to_string(),
        fields: vec![SADDR],
        contents,
    };
    Draft {
        field_sets: vec![set],
        ..input(vec![rule])
    }
}

#[test]
fn a_number_is_one_that_the_field_can_hold() {
    let rows = [
        (
            NumberField::Pkttype,
            4,
            "meta pkttype is compared with 4, at most 3 makes sense",
        ),
        (
            NumberField::Day,
            7,
            "meta day is compared with 7, at most 6 makes sense",
        ),
        (
            NumberField::Dscp(Family::Ip6),
            64,
            "ip6 dscp is compared with 64, at most 63 makes sense",
        ),
    ];
    for (field, number, message) in rows {
        bad(asks(Test::Number(field, vec![0..=number])), "V040", message);
    }
    for field in NumberField::all() {
        assert!(u128::from(field.max()) <= field.field().max(), "{field:?}");
    }
    let frag = NumberField::Exthdr(ExtensionHeader::Frag);
    let message = "exthdr frag is compared with every value";
    bad(asks(Test::Number(frag, vec![0..=1])), "V041", message);
}

#[test]
fn bits_are_those_of_the_field_and_of_the_mask() {
    let flags = |mask, value| {
        asks(Test::Bits {
            field: BitField::TcpFlags,
            mask,
            values: vec![value],
        })
    };
    bad(
        flags(0, 0),
        "V042",
        "mask of tcp flags is 0x0, allowed are bits of 0xff",
    );
    bad(
        flags(0x100, 0),
        "V042",
        "mask of tcp flags is 0x100, allowed are bits of 0xff",
    );
    let message = "tcp flags is compared with 0x4, which has bits outside the mask 0x3";
    bad(flags(3, 4), "V043", message);
    check(&input(vec![flags(3, 1)]), &[]);
}

#[test]
fn the_upper_bits_of_a_mark_are_a_range() {
    let bits = Test::Bits {
        field: BitField::CtMark,
        mask: 0xffff_0000,
        values: vec![0x0001_0000],
    };
    let range = Test::Number(NumberField::CtMark, vec![0x0001_0000..=0x0001_ffff]);
    let [bits, range] = [bits, range].map(|test| {
        let draft = input(vec![asks(test)]);
        validate(&draft, &Feeds::default()).unwrap()
    });
    assert_eq!(bits, range);
}

#[test]
fn wildcards_in_one_set_are_not_next_to_each_other() {
    let names = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_string());
        asks(Test::Iifname(names.collect()))
    };
    let message = "interfaces `vetg*` and `veth*` have no name between them, which nft cannot list";
    bad(names(&["vetg*", "veth*"]), "V055", message);
    check(&input(vec![names(&["vetf*", "veth*", "veth0", "lo"])]), &[]);
}

#[test]
fn an_element_has_a_value_for_each_field() {
    let message = "1 fields together, allowed is 2 to 5";
    bad(together(&[DPORT], &[&[ports(1, 1)]]), "V044", message);
    let message = "tcp dport is named twice";
    bad(
        together(&[DPORT, DPORT], &[&[ports(1, 1), ports(1, 1)]]),
        "V045",
        message,
    );
    let wide = [
        Selector::Saddr(Family::Ip6),
        Selector::Daddr(Family::Ip6),
        Selector::Iifname,
        Selector::L4proto,
        Selector::CtState,
    ];
    let element = [address("::1"), address("::1"), interface("lo"), ports(6, 6)];
    let state = Values::CtState(CtState::New);
    let element = [element.as_slice(), &[state]].concat();
    check(&input(vec![together(&wide, &[&element])]), &[]);
    let mut wider = wide;
    wider[3] = Selector::Oifname;
    let mut element = element;
    element[3] = interface("lo");
    let through = chain(
        "through",
        at(Hook::Forward, 0),
        vec![together(&wider, &[&element])],
    );
    let subject = "rule 1 (`r`) in chain `through`";
    let message = "the fields together have 68 bytes, at most 64 fit";
    one(&chains(vec![through]), "V056", subject, message);
    bad(
        together(&[SADDR, DPORT], &[]),
        "V046",
        "there is no element",
    );
    let message = "an element has 1 values, the fields are 2";
    bad(
        together(&[SADDR, DPORT], &[&[ports(1, 1)]]),
        "V047",
        message,
    );
    let message = "an element has a value that ip saddr has not";
    for wrong in [address("::1"), ports(1, 1), Values::CtState(CtState::New)] {
        bad(
            together(&[SADDR, DPORT], &[&[wrong, ports(1, 1)]]),
            "V048",
            message,
        );
    }
    let both: &[&[Values]] = &[
        &[address("192.0.2.1"), ports(1, 9)],
        &[address("192.0.2.1"), ports(9, 10)],
    ];
    let message = "elements 192.0.2.1 . 1-9 and 192.0.2.1 . 9-10 overlap";
    bad(together(&[SADDR, DPORT], both), "V049", message);
}

#[test]
fn a_verdict_map_says_one_thing_of_each_packet() {
    let map = |elements: &[(Values, Verdict)]| {
        let elements = elements.iter();
        let elements = elements.map(|(values, says)| (vec![values.clone()], says.clone()));
        let (fields, elements) = (vec![DPORT], elements.collect());
        rule(Vec::new(), vec![Statement::VerdictMap { fields, elements }])
    };
    bad(map(&[]), "V046", "there is no element");
    let twice = [(ports(1, 5), Verdict::Drop), (ports(5, 6), Verdict::Accept)];
    bad(map(&twice), "V049", "elements 1-5 and 5-6 overlap");
    check(
        &input(vec![map(&[
            (ports(1, 5), Verdict::Drop),
            (ports(6, 6), Verdict::Accept),
        ])]),
        &[],
    );
}

#[test]
fn numbers_of_statements_lie_in_their_ranges() {
    let rows = [
        (
            Statement::Quota {
                bytes: 0,
                over: true,
            },
            "quota is 0, allowed is 1 to 9007199254740992",
        ),
        (
            Statement::CtCount {
                count: 0,
                over: true,
            },
            "ct count is 0, allowed is 1 to 2147483647",
        ),
    ];
    for (statement, message) in rows {
        bad(rule(Vec::new(), vec![statement]), "V050", message);
    }
    let message = "reject with code 4, allowed is 0, 1, 2, 3, 9, 10, 13";
    bad(
        rule(Vec::new(), vec![Statement::Reject(Reject::Icmp(4))]),
        "V051",
        message,
    );
    let other = rule(
        vec![is(Test::Nfproto(Family::Ip6))],
        vec![Statement::Reject(Reject::Icmp(3))],
    );
    bad(
        other,
        "V027",
        "no packet can match: icmp type leaves no meta nfproto",
    );
}

#[test]
fn rules_write_to_dynamic_sets_only() {
    let update = |operation, limit| {
        let set = "s".to_string();
        rule(
            Vec::new(),
            vec![Statement::UpdateSet {
                set,
                operation,
                limit,
            }],
        )
    };
    let fixed = || Contents::Elements(vec![vec![address("192.0.2.1")]]);
    let port = || Contents::Elements(vec![vec![ports(22, 22)]]);
    let dynamic = |timeout| Contents::Dynamic { timeout, size: 10 };
    let add = || update(SetOperation::Add, None);
    let message = "one address alone is the field of the elements";
    let mut plain = with_set(fixed(), asks(Test::FieldSet("s".to_string())));
    one(&plain, "V054", "set `s`", message);
    plain.field_sets[0].fields = vec![DPORT];
    plain.field_sets[0].contents = port();
    check(&plain, &[]);
    plain.chains[0].rules.push(add());
    let second = "rule 2 (`r`) in chain `in`";
    one(
        &plain,
        "V052",
        second,
        "set `s` has its elements written out",
    );
    let message = "timeout is 0, allowed is 1 to 604800";
    one(&with_set(dynamic(0), add()), "V050", "set `s`", message);
    let limit = Limit {
        rate: 1,
        per: TimeUnit::Second,
        burst: 5,
        over: true,
    };
    let limited = update(SetOperation::Delete, Some(limit));
    let message = "an element is deleted and limited at once";
    one(&with_set(dynamic(60), limited), "V053", IN, message);
    check(&with_set(dynamic(60), add()), &[]);
    bad(add(), "V006", "there is no set `s`");
}
