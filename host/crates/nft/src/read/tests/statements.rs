//! Statements.

use super::{check, rule};

#[test]
fn verdicts() {
    check(
        "inet",
        r#"
        [{"accept": null}]              => accept
        [{"drop": null}]                => drop
        [{"continue": null}]            => continue
        [{"return": null}]              => return
        [{"jump": {"target": "web"}}]   => jump web
        [{"goto": {"target": "web"}}]   => goto web
        [{"vmap": {"key": $tcp.dport, "data": {"set":
            [[22, {"accept": null}], [23, {"jump": {"target": "web"}}]]}}}]
            => tcp dport vmap { 22 : accept, 23 : jump web }
        [{"vmap": {"key": $ct.state, "data": {"set":
            [["invalid", {"drop": null}], ["established", {"accept": null}]]}}}]
            => ct state vmap { invalid : drop, established : accept }
        [{"vmap": {"key": $tcp.dport, "data": "@ways"}}]
            => tcp dport vmap @ways
        // One that decides by chance.
        [{"vmap": {"key": {"numgen": {"mode": "inc", "mod": 2, "offset": 0}}, "data": {"set":
            [[0, {"drop": null}], [1, {"accept": null}]]}}}]
            => {"numgen":{"mod":2,"mode":"inc","offset":0}} vmap { 0 : drop, 1 : accept }
        "#,
    );
}

/// nft checks the family and the protocol before it rejects in the words of one, and lists neither
/// when that check stands right before.
#[test]
fn rejects() {
    check(
        "inet",
        r#"
        [{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]
            => reject with icmpx type admin-prohibited
        [{"reject": {"type": "icmpx", "expr": 2}}]
            => reject with icmpx type host-unreachable
        [{"reject": null}]
            => reject with icmpx type port-unreachable
        [{"reject": {"type": "tcp reset"}}]
            => meta l4proto tcp reject with tcp reset
        [{"match": {"op": "==", "left": $tcp.dport, "right": 22}}, {"reject": {"type": "tcp reset"}}]
            => tcp dport 22 reject with tcp reset
        [{"reject": {"type": "icmp", "expr": "host-prohibited"}}]
            => meta nfproto ipv4 reject with icmp type 10
        [{"reject": {"type": "icmpv6", "expr": "no-route"}}]
            => meta nfproto ipv6 reject with icmpv6 type 0
        [{"match": {"op": "==", "left": $ip.saddr, "right": "192.0.2.1"}},
         {"reject": {"type": "icmp", "expr": "port-unreachable"}}]
            => ip saddr 192.0.2.1 reject with icmp type 3
        "#,
    );
    check(
        "ip",
        r#"
        [{"reject": null}]  => reject with icmp type 3
        [{"reject": {"type": "icmp", "expr": "host-prohibited"}}]  => reject with icmp type 10
        "#,
    );
    check(
        "bridge",
        r#"
        [{"reject": {"type": "icmp", "expr": "host-prohibited"}}]
            => meta protocol 0x800 reject with icmp type 10
        "#,
    );
}

#[test]
fn assignments() {
    check(
        "inet",
        r#"
        [{"mangle": {"key": $meta.mark, "value": 5}}]
            => meta mark set 0x5
        [{"mangle": {"key": $meta.mark, "value": $ct.mark}}]
            => meta mark set ct mark
        [{"mangle": {"key": $meta.mark, "value": {"|": [$meta.mark, 256]}}}]
            => meta mark set meta mark & 0xfffffeff ^ 0x100
        [{"mangle": {"key": $meta.mark, "value": {"&": [$meta.mark, 255]}}}]
            => meta mark set meta mark & 0xff
        [{"mangle": {"key": $meta.mark, "value": {"^": [$meta.mark, 255]}}}]
            => meta mark set meta mark & 0xffffffff ^ 0xff
        // `meta mark and 0xffff00ff or 0x100`
        [{"mangle": {"key": $meta.mark, "value": {"|": [{"&": [$meta.mark, 4294902271]}, 256]}}}]
            => meta mark set meta mark & 0xffff00ff ^ 0x100
        // As 1.1 lists operands.
        [{"mangle": {"key": $meta.mark, "value": {"|": [$meta.mark, 1, 2]}}}]
            => meta mark set meta mark & 0xfffffffc ^ 0x3
        [{"mangle": {"key": $meta.mark, "value": {"^": ["0x11", "0x1331"]}}}]
            => meta mark set 0x1320
        [{"mangle": {"key": $meta.mark, "value": {"map": {"key": $ip.saddr, "data": "@marks"}}}}]
            => meta mark set ip saddr map @marks
        [{"mangle": {"key": $meta.mark, "value": {"map": {"key": $ip.saddr, "data":
            {"set": [["192.0.2.1", 5]]}}}}}]
            => meta mark set ip saddr map { 192.0.2.1 : 5 }
        [{"mangle": {"key": $ct.mark, "value": $meta.mark}}]
            => ct mark set meta mark
        [{"mangle": {"key": $ct.zone, "value": 5}}]
            => ct zone set 5
        [{"mangle": {"key": $meta.priority, "value": "1:2"}}]
            => meta priority set 0x10002
        [{"mangle": {"key": $ip.dscp, "value": "cs1"}}]
            => meta nfproto ipv4 ip dscp set 8
        [{"mangle": {"key": $tcp.dport, "value": 22}}]
            => meta l4proto tcp tcp dport set 22
        "#,
    );
}

#[test]
fn assignments_that_are_not_certain() {
    check(
        "inet",
        r#"
        // What no rule can see.
        [{"mangle": {"key": $meta.nftrace, "value": 1}}]
            => note<meta nftrace set 1>
        [{"mangle": {"key": $ct.event, "value": ["new", "destroy"]}}]
            => note<ct event set new,destroy>
        [{"mangle": {"key": {"tcp option": {"name": "maxseg", "field": "size"}}, "value": 1400}}]
            => chance<tcp option maxseg size set 1400>
        // `icmp type set 5` is listed so, without the check for ICMP.
        [{"mangle": {"key": $th.sport, "value": 5}}]
            => Anything<{"mangle":{"key":{"payload":{"field":"sport","protocol":"th"}},"value":5}}>
        "#,
    );
    // A value that is not known may not be there.
    let shifted = r#"{"<<":[{"meta":{"key":"mark"}},8]}"#;
    let expr = format!(r#"[{{"mangle": {{"key": $meta.mark, "value": {shifted}}}}}]"#);
    let expected = format!("Test<{shifted}> meta mark set {shifted}");
    assert_eq!(rule("inet", &expr), expected);
}

#[test]
fn translations() {
    check(
        "inet",
        r#"
        [{"masquerade": null}]             => masquerade
        [{"masquerade": {"flags": ["random", "persistent"]}}]
            => masquerade random persistent
        [{"redirect": {"port": 8080}}]     => redirect to :8080
        [{"redirect": {"port": {"range": [1000, 2000]}}}]
            => redirect to :1000-2000
        [{"dnat": {"family": "ip", "addr": "192.0.2.7", "port": 80}}]
            => dnat ip to 192.0.2.7:80
        [{"dnat": {"family": "ip6", "addr": {"range": ["2001:db8::1", "2001:db8::9"]}}}]
            => dnat ip6 to 2001:db8::1-2001:db8::9
        [{"snat": {"family": "ip", "addr": {"prefix": {"addr": "192.0.2.0", "len": 24}},
                   "flags": "netmap", "type_flags": "prefix"}}]
            => snat ip to 192.0.2.0/24 netmap
        [{"dnat": {"family": "ip", "addr": {"map": {"key": $tcp.dport, "data": "@inner"}}}}]
            => dnat ip to tcp dport map @inner
        [{"dnat": {"family": "ip", "addr": {"map": {"key": $tcp.dport, "data":
            {"set": [[80, "192.0.2.7"]]}}}}}]
            => dnat ip to tcp dport map { 80 : 3221225991 }
        [{"dnat": {"family": "ip", "addr": {"map": {"key": $tcp.dport, "data":
            {"set": [[80, {"concat": ["192.0.2.7", 8080]}]]}}}}}]
            => dnat ip to tcp dport map { 80 : 3221225991 . 8080 }
        "#,
    );
    check(
        "ip",
        r#"[{"snat": {"addr": "192.0.2.7"}}]  => snat ip to 192.0.2.7"#,
    );
}

#[test]
fn what_is_no_part_of_the_packet() {
    check(
        "inet",
        r#"
        [{"limit": {"rate": 5, "burst": 10, "per": "minute", "inv": true}}]
            => chance<limit rate over 5/minute burst 10 packets>
        [{"limit": {"rate": 1, "burst": 512, "per": "hour", "rate_unit": "mbytes",
                    "burst_unit": "kbytes"}}]
            => chance<limit rate 1 mbytes/hour burst 512 kbytes>
        [{"limit": "slow"}]
            => chance<limit name "slow">
        [{"quota": {"val": 5, "val_unit": "mbytes", "inv": true, "used": 3, "used_unit": "bytes"}}]
            => chance<quota over 5 mbytes>
        [{"ct count": {"val": 5, "inv": true}}]
            => connections<ct count over 5>
        [{"ct count": {"val": 5, "within": 1}}]
            => connections<ct count> Chance<{"ct count":{"val":5,"within":1}}>
        [{"set": {"op": "add", "elem": $ip.saddr, "set": "@blocked",
                  "stmt": [{"ct count": {"val": 3, "inv": true}}]}}]
            => connections<add @blocked { ip saddr ct count over 3 }>
        [{"set": {"op": "add", "elem": $ip.saddr, "set": "@blocked"}}]
            => chance<add @blocked { ip saddr }>
        [{"set": {"op": "update", "elem": {"elem": {"val": $ip.saddr, "timeout": 5}},
                  "set": "@blocked", "stmt": [{"limit": {"rate": 5, "burst": 5, "per": "second"}}]}}]
            => chance<update @blocked { ip saddr timeout 5s limit rate 5/second burst 5 packets }>
        // As versions before 1.0.8 list it.
        ["add @marks { ip saddr : 0x00000005 }"]
            => Chance<"add @marks { ip saddr : 0x00000005 }">
        [{"map": {"op": "add", "elem": $ip.saddr, "data": 5, "map": "@marks"}}]
            => chance<add @marks { ip saddr : 5 }>
        [{"meter": {"key": $ip.saddr, "stmt": {"limit": {"rate": 5, "burst": 5, "per": "second"}},
                    "size": 65535, "name": "seen"}}]
            => chance<meter seen { ip saddr limit rate 5/second burst 5 packets }>
        [{"tproxy": {"family": "ip", "addr": "127.0.0.1", "port": 5000}}]
            => chance<tproxy addr 127.0.0.1 ip port 5000>
        [{"flow": {"op": "add", "flowtable": "@fast"}}]
            => chance<flow add @fast>
        [{"reset": {"tcp option": {"name": "sack-perm"}}}]
            => chance<reset tcp option sack-perm>
        "#,
    );
}

#[test]
fn counters_notes_and_what_takes_packets() {
    check(
        "inet",
        r#"
        [{"counter": {"packets": 5, "bytes": 10}}]  => counter
        [{"counter": null}]                         => counter
        [{"counter": "visits"}]                     => counter
        // Without an element for the key, the rule fails.
        [{"counter": {"map": {"key": $ip.saddr, "data": "@counters"}}}]
            => ip saddr @counters counter
        [{"log": null}]                             => note<log>
        [{"log": {"prefix": "in ", "group": 5, "flags": ["tcp options"]}}]
            => note<log tcp options group 5 prefix "in ">
        [{"last": null}]                            => note<last>
        [{"dup": {"addr": "192.0.2.1"}}]            => note<dup addr 192.0.2.1>
        [{"ct helper": "ftp"}]                      => note<ct helper name "ftp">
        [{"ct timeout": "long"}]                    => note<ct timeout name "long">
        [{"notrack": null}]                         => notrack
        [{"queue": null}]                           => queue<queue>
        [{"queue": {"num": {"range": [1, 3]}, "flags": ["bypass"]}}]
            => queue<queue bypass to 1-3>
        [{"synproxy": {"mss": 1400, "wscale": 7, "flags": ["timestamp"]}}]
            => take<synproxy timestamp mss 1400 wscale 7>
        [{"fwd": {"dev": "eth1"}}]                  => take<fwd dev eth1>
        "#,
    );
}

/// An attribute that is not known may mean anything, so it is not passed over.
#[test]
fn what_is_not_known() {
    check(
        "inet",
        r#"
        // iptables-nft's: what they ask is not in the listing.
        [{"xt": {"type": "match", "name": "conntrack"}}, {"accept": null}]
            => Chance<{"xt":{"name":"conntrack","type":"match"}}> accept
        [{"xt": {"type": "target", "name": "REJECT"}}]
            => Anything<{"xt":{"name":"REJECT","type":"target"}}>
        [{"fancy": null}, {"drop": null}]       => Anything<{"fancy":null}> drop
        [{"accept": {"new": 1}}]                => Anything<{"accept":{"new":1}}>
        [{"log": {"new": 1}}]                   => Anything<{"log":{"new":1}}>
        [{"limit": {"new": 1}}]                 => Chance<{"limit":{"new":1}}>
        [{"jump": {"target": "gone"}}]          => Anything<{"jump":{"target":"gone"}}>
        [{}]                                    => Anything<{}>
        [7]                                     => Anything<7>
        [{"accept": null, "drop": null}]        => Anything<{"accept":null,"drop":null}>
        // A chain without a name is listed as text.
        ["jump { tcp dport 22 accept }"]        => Anything<"jump { tcp dport 22 accept }">
        "#,
    );
}
