//! Rule sets of others, as nft lists them, up to what becomes of a packet.

use std::sync::LazyLock;

use portreeve_model::evaluate::{HookVerdict, evaluate};
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::Reject;
use portreeve_model::tables::Tables;
use portreeve_nft::{TABLE, lift, read};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::law;

/// A packet of each kind, and of each hook.
static PACKETS: LazyLock<Vec<Packet>> = LazyLock::new(|| {
    let texts = [
        "tcp 192.0.2.7 > 192.0.2.10:22",
        "udp 2001:db8::7 > [2001:db8::10]:53 established",
        "lo icmp echo-request 127.0.0.1 > 127.0.0.1",
        "prerouting icmpv6 nd-neighbor-solicit fe80::7 > ff02::1:ff00:10",
        "forward iifname wan oifname lan tcp 192.0.2.7:443 > 198.51.100.1:40000 related",
        "output protocol 47 192.0.2.10 > 192.0.2.7 untracked",
        "postrouting udp [2001:db8::10]:123 > [2001:db8::7]:123 hoplimit 1",
    ];
    let packets = texts.iter().map(|text| text.parse());
    packets
        .collect::<Result<_, _>>()
        .expect("these are packets")
});

/// Reads a rule set: nothing but broken JSON is refused, no rule is skipped, what is shown of it
/// is harmless, every packet has a fate, and our own table means what it says.
pub fn target(data: &[u8]) {
    let Ok(json) = std::str::from_utf8(data) else {
        return;
    };
    let tables = match read(json) {
        Ok(tables) => tables,
        Err(error) => {
            law::printable(&error);
            let broken = serde_json::from_str::<IgnoredAny>(json).is_err();
            return assert!(broken, "{error} in {json:?}");
        }
    };
    no_rule_is_skipped(json, &tables);
    for table in &tables.tables {
        for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
            law::printable(&table.rule_text(rule));
        }
    }
    let fates = fates(&tables);
    if let Ok(ruleset) = lift(json) {
        assert_eq!(fates, self::fates(&ruleset.tables(TABLE)));
    }
}

/// Every rule is in its chain, or else among what is not known.
fn no_rule_is_skipped(json: &str, tables: &Tables) {
    // What is nested too deep for a value is one thing that is not known.
    let Ok(document) = serde_json::from_str::<Value>(json) else {
        return;
    };
    let objects = document.get("nftables").and_then(Value::as_array);
    let is_rule = |object: &&Value| object.get("rule").is_some();
    let listed = objects.into_iter().flatten().filter(is_rule).count();
    let read = tables.tables.iter().map(|table| {
        let rules = table.chains.iter().map(|chain| chain.rules.len());
        rules.sum::<usize>() + table.unknown.len()
    });
    let read = read.sum::<usize>() + tables.unknown.len();
    assert!(read >= listed, "{read} of {listed} rules");
}

/// What may become of each packet.
fn fates(tables: &Tables) -> Vec<Vec<(HookVerdict, Option<Reject>)>> {
    let fates = |packet| {
        let fates = evaluate(tables, packet).fates;
        assert!(!fates.is_empty(), "{packet} has no fate");
        fates
            .iter()
            .map(|fate| (fate.verdict, fate.reject))
            .collect()
    };
    PACKETS.iter().map(fates).collect()
}
