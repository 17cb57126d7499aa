//! Conditions: what is compared, how, and with what.

use super::{rule, split};

/// Rows of `LEFT  OPERATOR  RIGHT  => TEXT`, two spaces apart, in a table of `family`.
fn check(family: &str, rows: &str) {
    for (condition, expected) in split(rows) {
        assert_eq!(
            rule(family, &json(&condition)).trim_end(),
            expected,
            "{condition}"
        );
    }
}

fn json(condition: &str) -> String {
    let mut words = condition
        .split("  ")
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let mut word = || words.next().expect("a side or an operator");
    let (left, op, right) = (word(), word(), word());
    format!(r#"[{{"match": {{"op": "{op}", "left": {left}, "right": {right}}}}}]"#)
}

#[test]
fn fields_of_headers() {
    check(
        "inet",
        r#"
        $ip.saddr       ==  "192.0.2.1"          => ip saddr 192.0.2.1
        $ip6.daddr      ==  "2001:db8::1"        => ip6 daddr 2001:db8::1
        $ip.dscp        ==  "cs1"                => ip dscp 8
        $ip.dscp        ==  63                   => ip dscp 63
        $ip6.dscp       ==  "ef"                 => ip6 dscp 46
        $ip.ecn         ==  "ce"                 => ip ecn 3
        $ip.length      ==  100                  => ip length 100
        $ip.id          ==  5                    => ip id 5
        $ip.ttl         ==  1                    => ip ttl 1
        $ip.protocol    ==  "icmp"               => ip protocol icmp
        $ip.protocol    ==  253                  => ip protocol 253
        $ip6.nexthdr    ==  "ipv6-icmp"          => ip6 nexthdr ipv6-icmp
        $ip6.hoplimit   ==  255                  => ip6 hoplimit 255
        $ip6.flowlabel  ==  22                   => ip6 flowlabel 0x16
        $icmp.type      ==  "echo-request"       => icmp type echo-request
        $icmp.code      ==  "port-unreachable"   => icmp code 3
        $icmpv6.type    ==  "mld-listener-reduction"  => icmpv6 type mld-listener-done
        $icmpv6.code    ==  "no-route"           => icmpv6 code 0
        $tcp.dport      ==  22                   => tcp dport 22
        $tcp.dport      ==  "ssh"                => tcp dport 22
        $udplite.sport  ==  5                    => udplite sport 5
        $sctp.dport     ==  5                    => sctp dport 5
        $dccp.dport     ==  5                    => dccp dport 5
        $ether.saddr    ==  "00:11:22:33:44:55"  => ether saddr 00:11:22:33:44:55
        $ether.type     ==  "ip6"                => ether type 0x86dd
        {"exthdr": {"name": "frag"}}  ==  true   => exthdr frag exists
        "#,
    );
}

#[test]
fn fields_of_the_surroundings() {
    check(
        "inet",
        r#"
        $meta.iifname   ==  "eth0"       => iifname "eth0"
        $meta.iifname   ==  "eth*"       => iifname "eth*"
        $meta.iifname   ==  "a*b"        => iifname "a*b"
        // By index, listed by name.
        $meta.iif       ==  "lo"         => iifname "lo"
        $meta.oif       !=  "eth0"       => oifname != "eth0"
        $meta.iifgroup  ==  "default"    => iifgroup 0
        $meta.oifgroup  ==  5            => oifgroup 5
        $meta.iiftype   ==  "ether"      => meta iiftype 1
        $meta.pkttype   ==  "multicast"  => meta pkttype multicast
        $meta.pkttype   ==  "unicast"    => meta pkttype host
        $meta.mark      ==  5            => meta mark 0x5
        $meta.priority  ==  "1:2"        => meta priority 0x10002
        $meta.priority  ==  "none"       => meta priority 0x0
        $meta.skuid     ==  1000         => meta skuid 1000
        $meta.skgid     ==  "root"       => meta skgid 0
        $meta.day       ==  "Saturday"   => meta day 6
        $meta.length    ==  100          => meta length 100
        $meta.protocol  ==  "arp"        => meta protocol 0x806
        $meta.protocol  ==  35020        => meta protocol 0x88cc
        $meta.nfproto   ==  "ipv6"       => meta nfproto ipv6
        $meta.l4proto   ==  "tcp"        => meta l4proto tcp
        $meta.l4proto   ==  "icmpv6"     => meta l4proto ipv6-icmp
        $meta.ipsec     ==  true         => meta ipsec exists
        $meta.secpath   ==  false        => meta ipsec missing
        "#,
    );
}

#[test]
fn fields_of_connections_and_routes() {
    check(
        "inet",
        r#"
        $ct.direction  ==  "reply"  => ct direction reply
        $ct.mark       ==  5        => ct mark 0x5
        $ct.zone       ==  5        => ct zone 5
        $ct.l3proto    ==  "ipv4"   => ct l3proto ipv4
        $ct.protocol   ==  "tcp"    => ct original protocol tcp
        {"ct": {"key": "ip saddr", "dir": "original"}}  ==  "192.0.2.1"
            => ct original ip saddr 192.0.2.1
        {"ct": {"key": "proto-dst", "dir": "reply"}}  ==  22  => ct reply proto-dst 22
        {"fib": {"result": "type", "flags": ["daddr"]}}  ==  "local"  => fib daddr type local
        {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}  ==  false
            => fib saddr . iif oif missing
        {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}  ==  "0"  => fib saddr . iif oif 0
        {"fib": {"result": "oif", "flags": ["saddr"]}}  ==  "lo"  => fib saddr oifname "lo"
        {"fib": {"result": "check", "flags": ["saddr", "mark"]}}  ==  true
            => fib saddr . mark oif exists
        {"fib": {"result": "oifname", "flags": ["saddr"]}}  ==  "lo"  => fib saddr oifname "lo"
        "#,
    );
    check(
        "ip6",
        r#"{"ct": {"key": "saddr", "dir": "reply"}}  ==  "::1"  => ct reply ip6 saddr ::1"#,
    );
}

#[test]
fn operators() {
    check(
        "inet",
        r#"
        $tcp.dport  !=  22                          => tcp dport != 22
        $tcp.dport  <   22                          => tcp dport 0-21
        $tcp.dport  <=  22                          => tcp dport 0-22
        $tcp.dport  >   65534                       => tcp dport 65535
        $tcp.dport  >=  22                          => tcp dport 22-65535
        $tcp.dport  ==  {"range": [80, 90]}         => tcp dport 80-90
        $tcp.dport  !=  {"range": [80, 90]}         => tcp dport != 80-90
        $tcp.dport  ==  {"set": [22, {"range": [80, 90]}]}  => tcp dport { 22, 80-90 }
        $tcp.dport  !=  {"set": [22, 25]}           => tcp dport != { 22, 25 }
        $tcp.dport  in  {"set": [22, 25]}           => tcp dport { 22, 25 }
        $tcp.dport  ==  "@ports"                    => tcp dport @ports
        $ip.saddr   !=  "@blocked"                  => ip saddr != @blocked
        $ip.saddr   ==  {"prefix": {"addr": "10.0.0.0", "len": 8}}  => ip saddr 10.0.0.0/8
        $ip.saddr   ==  {"prefix": {"addr": "0.0.0.0", "len": 0}}   => ip saddr 0.0.0.0/0
        {"&": [$ip.saddr, "255.0.255.0"]}  ==  "10.0.5.0"  => ip saddr & 0xff00ff00 0xa000500
        {"&": [$meta.mark, 255]}  !=  0             => meta mark & 0xff != 0x0
        $meta.mark  ==  $ct.mark                    => meta mark ct mark
        "#,
    );
}

/// The meaning is that of the kernel's program, which `nft --debug=netlink` shows: a bare flag
/// asks for a bit, `==` for the whole value.
#[test]
fn flags_of_tcp() {
    check(
        "inet",
        r#"
        // `tcp flags syn`, `tcp flags { syn }`, `tcp flags & syn != 0`
        $tcp.flags  in  "syn"           => tcp flags & 0x2 != 0x0
        // `tcp flags syn,ack`
        $tcp.flags  in  ["syn", "ack"]  => tcp flags & 0x12 != 0x0
        // `tcp flags ! syn`, `tcp flags & syn == 0`
        $tcp.flags  !   "syn"           => tcp flags & 0x2 0x0
        $tcp.flags  !   ["syn", "ack"]  => tcp flags & 0x12 0x0
        // `tcp flags == syn`
        $tcp.flags  ==  "syn"           => tcp flags 0x2
        // `tcp flags == syn,ack`
        $tcp.flags  ==  18              => tcp flags 0x12
        $tcp.flags  !=  "syn"           => tcp flags != 0x2
        $tcp.flags  in  0               => tcp flags & 0x0 != 0x0
        $tcp.flags  ==  {"set": ["syn", "ack"]}  => tcp flags { 0x2, 0x10 }
        $tcp.flags  ==  {"set": [{"|": ["syn", "ack"]}, "syn"]}  => tcp flags { 0x2, 0x12 }
        // `tcp flags syn / fin,syn,rst,ack`
        {"&": [$tcp.flags, ["fin", "syn", "rst", "ack"]]}  ==  "syn"  => tcp flags & 0x17 0x2
        {"&": [$tcp.flags, ["fin", "syn"]]}  !=  ["syn", "fin"]  => tcp flags & 0x3 != 0x3
        {"&": [$tcp.flags, {"|": [{"|": ["fin", "syn"]}, "rst"]}]}  <  "syn"
            => tcp flags & 0x7 0x0-0x1
        "#,
    );
}

#[test]
fn states_and_status_of_connections() {
    check(
        "inet",
        r#"
        $ct.state   in  "new"                    => ct state new
        $ct.state   in  ["established", "new"]   => ct state established,new
        $ct.state   in  ["new", 64]              => ct state new,untracked
        $ct.state   ==  "new"                    => ct state new
        $ct.state   ==  8                        => ct state new
        $ct.state   !=  "new"                    => ct state != new
        $ct.state   !   ["established", "new"]   => ct state != established,new
        $ct.state   ==  {"set": ["established", "new"]}  => ct state established,new
        $ct.state   !=  {"set": ["established", "new"]}  => ct state != established,new
        $ct.state   >   {"|": [1, 4]}            => ct state new,untracked
        {"&": [$ct.state, ["established", "new"]]}  ==  "new"  => ct state new
        {"&": [$ct.state, ["established", "new"]]}  !=  "new"  => ct state != new
        $ct.state   ==  {"range": [1, {"|": [1, 4]}]}  => ct state invalid,established,related
        // A packet has one state, never two.
        $ct.state   ==  {"|": ["established", "new"]}  => ct state
        $ct.state   !=  {"|": ["established", "new"]}  => ct state !=
        $ct.status  in  "snat"                   => ct status & 0x10 != 0x0
        $ct.status  in  ["snat", "dnat"]         => ct status & 0x30 != 0x0
        $ct.status  !   "dnat"                   => ct status & 0x20 0x0
        $ct.status  ==  "dnat"                   => ct status 0x20
        "#,
    );
}

#[test]
fn concatenations() {
    check(
        "inet",
        r#"
        {"concat": [$ip.saddr, $tcp.dport]}  ==  {"set": [{"concat": ["192.0.2.1", 22]}]}
            => ip saddr . tcp dport { 192.0.2.1 . 22 }
        {"concat": [$ip.saddr, $udp.dport]}
            ==  {"set": [{"concat": ["192.0.2.1", {"range": [80, 90]}]}]}
            => ip saddr . udp dport { 192.0.2.1 . 80-90 }
        {"concat": [$ip.saddr, $tcp.dport]}  !=  "@pairs"
            => ip saddr . tcp dport != @pairs
        {"concat": [$meta.iif, $ct.state]}  ==  {"set": [{"concat": ["lo", "new"]}]}
            => iifname . ct state { "lo" . new }
        "#,
    );
}

/// What is not certain is opaque: it is named, and neither skipped nor guessed.
#[test]
fn what_is_not_certain() {
    let rows = r#"
        // A mark, a user, a group by a name that only the machine knows.
        $meta.mark      ==  "vpn"
        $meta.skuid     ==  "www-data"
        $meta.iifgroup  ==  "lan"
        // An interface that is gone, or one with such a name.
        $meta.iif       ==  "77"
        // A star that was meant as one.
        $meta.iifname   ==  "eth\\*"
        $tcp.dport      ==  "fantasy"
        $tcp.dport      ==  "@nowhere"
        $tcp.dport      ==  "@pairs"
        $tcp.dport      ==  {"range": [90, 80]}
        $tcp.dport      ~   22
        // Another family's address, and no prefix.
        $ip.saddr       ==  "2001:db8::1"
        $ip.saddr       ==  {"prefix": {"addr": "10.0.0.1", "len": 8}}
        // Without the type that it belongs to, it is other bytes.
        $icmp.id        ==  5
        $tcp.window     ==  5
        // What `nft -n` 1.0.6 lists for `ip`.
        $meta.protocol  ==  8
        {"socket": {"key": "transparent"}}   ==  1
        {"fancy": {"key": "new"}}            ==  1
        {"meta": {"key": "mark", "new": 1}}  ==  1
        // Ranges of it next to an address nft 1.0.6 lists as other numbers.
        {"concat": [$meta.length, $ip.saddr]}  ==  {"set": [{"concat": [0, "0.0.0.1"]}]}
        {"concat": [$ct.zone, $ip.saddr]}  ==  {"set": [{"concat": [0, "0.1.0.0"]}]}
    "#;
    let rows = rows.lines().map(str::trim);
    for row in rows.filter(|row| !row.is_empty() && !row.starts_with("//")) {
        let said = rule("inet", &json(row));
        let opaque = said.starts_with("Test<") || said.starts_with("Chance<");
        assert!(opaque, "{row}: {said}");
    }
}

#[test]
fn an_echo_is_known_after_its_type() {
    super::check(
        "ip",
        r#"
        [{"match": {"op": "==", "left": $icmp.type, "right": 8}},
         {"match": {"op": "==", "left": $icmp.id, "right": 5}}]
            => icmp type echo-request icmp id 5
        "#,
    );
}

/// nft leaves out a protocol that it has no ports for: `meta l4proto gre th dport 7` is listed as
/// `th dport 7`.
#[test]
fn any_transport_header() {
    super::check(
        "inet",
        r#"
        [{"match": {"op": "==", "left": $th.dport, "right": 53}}]
            => Test<whether nft has left out a protocol> th dport 53
        [{"match": {"op": "==", "left": {"payload": {"base": "th", "offset": 16, "len": 16}},
                    "right": 22}}]
            => Test<whether nft has left out a protocol> th dport 22
        [{"match": {"op": "==", "left": $meta.l4proto, "right": {"set": ["tcp", "udp"]}}},
         {"match": {"op": "==", "left": $th.dport, "right": 53}}]
            => meta l4proto { tcp, udp } th dport 53
        [{"match": {"op": "==", "left": {"concat": [$meta.l4proto, $th.dport]},
                    "right": {"set": [{"concat": ["tcp", 22]}]}}}]
            => meta l4proto . th dport { tcp . 22 }
        "#,
    );
}

/// `tcp sport != 1 tcp dport != 2` is "not both" to the kernel when nft has written it.
#[test]
fn unequal_neighbours_may_be_joined() {
    let unequal = |left: &str, right: &str| {
        format!(r#"{{"match": {{"op": "!=", "left": {left}, "right": {right}}}}}"#)
    };
    let both = |one: &str, other: &str| rule("inet", &format!("[{one}, {other}]"));
    let (sport, dport) = (unequal("$tcp.sport", "1"), unequal("$tcp.dport", "2"));
    assert_eq!(
        both(&sport, &dport),
        "tcp sport . tcp dport != { 1 . 2 } \
         tcp sport . tcp dport . whether nft has joined them != \
         { 0-65535 . 2 . 0, 1 . 0-65535 . 0 }"
    );
    // One that is not known has the say of the other.
    let length = unequal("$udp.length", "5");
    let known = both(&unequal("$udp.dport", "2"), &length);
    assert!(
        known.starts_with("udp dport . whether nft has joined them != { 2 . 0 } Test<"),
        "{known}"
    );
    // Not next to each other, not together, not both.
    for (one, other, expected) in [
        (
            unequal("$ip.saddr", r#""192.0.2.1""#),
            unequal("$ip.daddr", r#""192.0.2.2""#),
            "ip saddr != 192.0.2.1 ip daddr != 192.0.2.2",
        ),
        (
            sport.clone(),
            unequal("$ip.ttl", "5"),
            "tcp sport != 1 ip ttl != 5",
        ),
        (
            sport.clone(),
            r#"{"counter": null}"#.to_owned(),
            "tcp sport != 1 counter",
        ),
        (
            sport,
            unequal("$tcp.dport", r#"{"range": [2, 3]}"#),
            "tcp sport != 1 tcp dport != 2-3",
        ),
    ] {
        assert_eq!(both(&one, &other), expected);
    }
}

#[test]
fn what_is_a_matter_of_chance() {
    check(
        "inet",
        r#"
        {"numgen": {"mode": "random", "mod": 10, "offset": 0}}  <  5
            => chance<numgen random mod 10 < 5>
        $meta.random    <   5    => chance<meta random < 5>
        $ct.expiration  ==  30   => chance<ct expiration 30>
        $ct.bytes       >   100  => chance<ct bytes > 100>
        // In the time zone of whoever asked nft.
        $meta.hour      ==  {"range": ["08:00", "17:00"]}  => chance<meta hour 08:00-17:00>
        "#,
    );
}
