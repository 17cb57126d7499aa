//! What it takes to evaluate one packet against 50 rules with a set of a million prefixes, as read
//! from a listing.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use portreeve_model::evaluate::evaluate;
use portreeve_model::packet::Packet;
use portreeve_nft::read;
use serde_json::{Value, json};

use crate::Result;
use crate::table::Figure;

/// Prefixes in the set.
const PREFIXES: u32 = 1_000_000;

/// Rules in the chain.
const RULES: u16 = 50;

/// Evaluations behind one time, and times of which the shortest is the figure.
const EVALUATIONS: u32 = 1_000;
const TIMES: usize = 301;

/// Packets that meet every rule and are dropped by the last one, by the chain policy, and by
/// nothing but the set at the very end.
const PACKETS: [(&str, &str); 3] = [
    ("in the set", "tcp 20.0.0.1 > 192.0.2.1:443"),
    ("in no rule", "tcp 9.9.9.9 > 192.0.2.1:50000"),
    ("of the other family", "udp 2001:db8::7 > [2001:db8::1]:9"),
];

pub(crate) fn evaluation() -> Result<Vec<Figure>> {
    let began = Instant::now();
    let tables = read(&listing()).map_err(io::Error::other)?;
    eprintln!("listing read in {:.2} s", began.elapsed().as_secs_f64());
    let mut figures = Vec::new();
    for (what, text) in PACKETS {
        let packet: Packet = text.parse().map_err(io::Error::other)?;
        let walk = evaluate(&tables, &packet).walk.len();
        if walk != usize::from(RULES) {
            return Err(io::Error::other(format!("{text} meets {walk} rules")));
        }
        let one = || {
            let began = Instant::now();
            for _ in 0..EVALUATIONS {
                black_box(evaluate(black_box(&tables), black_box(&packet)));
            }
            began.elapsed().as_secs_f64() * 1e6 / f64::from(EVALUATIONS)
        };
        // Other programs on the machine only add to it.
        let time = (0..TIMES).map(|_| one()).fold(f64::INFINITY, f64::min);
        let what = format!("evaluate, {RULES} rules, {PREFIXES} prefixes, packet {what}");
        figures.push(Figure::new(what, time, 2.0, "µs"));
    }
    Ok(figures)
}

/// A listing as nft prints it.
fn listing() -> String {
    let table = |kind: &str, mut body: Value| {
        body["family"] = json!("inet");
        body["table"] = json!("bench");
        json!({ kind: body })
    };
    let elements = (0..PREFIXES).map(|number| {
        let first = std::net::Ipv4Addr::from_bits((16 << 24) + number * 1536);
        json!({ "prefix": { "addr": first.to_string(), "len": 24 } })
    });
    let payload = |protocol: &str, field: &str| {
        let loaded = json!({ "protocol": protocol, "field": field });
        json!({ "payload": loaded })
    };
    let is = |left: Value, right: Value| {
        let compared = json!({ "op": "==", "left": left, "right": right });
        json!({ "match": compared })
    };
    let rule = |mut parts: Vec<Value>, verdict: &str| {
        parts.push(json!({ verdict: null }));
        table("rule", json!({ "chain": "input", "expr": parts }))
    };
    let mut objects = vec![
        json!({ "table": { "family": "inet", "name": "bench" } }),
        table(
            "set",
            json!({
                "name": "feed", "type": "ipv4_addr", "flags": ["interval"],
                "elem": elements.collect::<Vec<_>>(),
            }),
        ),
        table(
            "chain",
            json!({
                "name": "input", "type": "filter", "hook": "input", "prio": 0,
                "policy": "drop",
            }),
        ),
        rule(
            vec![is(json!({ "meta": { "key": "iifname" } }), json!("lo"))],
            "accept",
        ),
        rule(
            vec![is(
                json!({ "ct": { "key": "state" } }),
                json!(["established", "related"]),
            )],
            "accept",
        ),
    ];
    objects.extend((2..RULES - 1).map(|number| {
        let protocol = if number % 3 == 0 { "udp" } else { "tcp" };
        let port = is(payload(protocol, "dport"), json!(1000 + number));
        rule(
            vec![is(payload("ip", "saddr"), json!("10.0.0.1")), port],
            "accept",
        )
    }));
    let feed = is(payload("ip", "saddr"), json!("@feed"));
    objects.push(rule(vec![feed], "drop"));
    json!({ "nftables": objects }).to_string()
}
