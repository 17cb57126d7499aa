//! A set expression means what its words say, and ends.

use super::*;
use crate::address::AddressSet;
use crate::intervals::Intervals;

/// A draft whose only set has this expression, with a rule that names it: a set that no rule names
/// is left out.
fn with(expression: Vec<SetNode>) -> Draft {
    let mut draft = input(vec![accepts(saddr_in(Family::Ip, "s"))]);
    draft.sets = vec![set("s", Family::Ip, expression)];
    draft
}

fn bad(expression: Vec<SetNode>, code: &str, message: &str) {
    one(&with(expression), code, "set `s`", message);
}

fn list(texts: &[&str]) -> SetNode {
    SetNode::Elements(texts.iter().copied().map(prefix).collect())
}

/// The value of an expression, given a feed of `192.0.2.0/24` and `2001:db8::/32`.
fn value(expression: Vec<SetNode>) -> Intervals {
    let feed = ["192.0.2.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap());
    let feed: AddressSet = feed.into_iter().collect();
    let feeds = [("cf".to_string(), feed)].into_iter().collect();
    let ruleset = validate(&with(expression), &feeds).unwrap();
    ruleset.sets()[0].elements().clone()
}

fn check(expression: Vec<SetNode>, expected: &[&str]) {
    let expected: AddressSet = expected.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(value(expression), expected.ip);
}

#[test]
fn the_last_node_is_the_value() {
    let feed = || SetNode::Feed("cf".to_string());
    check(vec![feed()], &["192.0.2.0/24"]);
    check(
        vec![feed(), list(&["198.51.100.0/24"])],
        &["198.51.100.0/24"],
    );
    let other = || list(&["192.0.2.128/25", "198.51.100.0/24"]);
    let both = &["192.0.2.0/24", "198.51.100.0/24"];
    check(vec![feed(), other(), SetNode::Union(vec![0, 1])], both);
    check(
        vec![feed(), other(), SetNode::Intersection(vec![0, 1])],
        &["192.0.2.128/25"],
    );
    check(
        vec![feed(), other(), SetNode::Difference(0, 1)],
        &["192.0.2.0/25"],
    );
    check(
        vec![feed(), other(), SetNode::Difference(1, 0)],
        &["198.51.100.0/24"],
    );
    check(vec![feed(), SetNode::Difference(0, 0)], &[]);
    check(vec![feed(), SetNode::Union(vec![])], &[]);
    check(
        vec![
            feed(),
            list(&["192.0.2.7/32"]),
            SetNode::Difference(0, 1),
            SetNode::Intersection(vec![2, 0, 2]),
        ],
        &[
            "192.0.2.0/30",
            "192.0.2.4/31",
            "192.0.2.6",
            "192.0.2.8/29",
            "192.0.2.16/28",
            "192.0.2.32/27",
            "192.0.2.64/26",
            "192.0.2.128/25",
        ],
    );
}

#[test]
fn an_expression_ends() {
    bad(vec![], "V019", "the expression has no node or no operand");
    let empty = "the expression has no node or no operand";
    bad(vec![SetNode::Intersection(vec![])], "V019", empty);
    let forward = "node 0 of the expression refers to node 1";
    bad(vec![SetNode::Union(vec![1]), list(&[])], "V018", forward);
    let itself = "node 1 of the expression refers to node 1";
    bad(vec![list(&[]), SetNode::Difference(0, 1)], "V018", itself);
    let long = "1001 nodes in the expression, at most 1000 fit";
    bad(vec![list(&[]); 1_001], "V017", long);
    let nested = |levels: u32| {
        let mut nodes = vec![list(&[])];
        nodes.extend((1..levels).map(|level| SetNode::Union(vec![level - 1])));
        nodes
    };
    check(nested(32), &[]);
    bad(
        nested(33),
        "V017",
        "33 levels in the expression, at most 32 fit",
    );
}

#[test]
fn an_expression_takes_no_more_than_its_share() {
    let many = "10001 operands in the expression, at most 10000 fit";
    bad(
        vec![list(&[]), SetNode::Union(vec![0; 10_001])],
        "V017",
        many,
    );
    // Every other address: as many intervals as elements, however they are joined.
    let apart = (0..2_000).map(|number| Element::Range {
        first: core::net::Ipv4Addr::from_bits(number * 2).into(),
        last: core::net::Ipv4Addr::from_bits(number * 2).into(),
    });
    let doubled = vec![
        SetNode::Elements(apart.collect()),
        SetNode::Union(vec![0; 10_000]),
    ];
    let work = "20002000 intervals gone through, at most 10000000 fit";
    bad(doubled, "V017", work);
}
