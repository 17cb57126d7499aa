//! The rules without which a host on the internet breaks, and what is done with the rest.
//!
//! A policy puts [`first`] before its own rules and [`last`] after them. The settings they read
//! are [`settings`]; [`packets`] says the same as [`first`] for a goal, in its own words, so that
//! a slip in one is found by the other.

use portreeve_model::address::Family;
use portreeve_model::description::SettingSpec;
use portreeve_model::field::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};
use portreeve_model::inputs::Inputs;
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{LogLevel, Reject, TimeUnit};

use crate::address::prefixes;
use crate::describe::describe;
use crate::operand::{Icmp, Icmpv6, Ports, Values};
use crate::rule::{Matches, Promise, Rule, rule};
use crate::settings::Settings;

/// The addresses of the link itself, which no router forwards (RFC 4291, 2.5.6).
const LINK_LOCAL: &str = "fe80::/10";

/// ICMP messages that tell a sender what became of its packets (RFC 792). Without
/// `destination-unreachable` path MTU discovery hangs connections (RFC 1191).
const ICMP_ERRORS: [Icmp; 3] = [
    Icmp::DESTINATION_UNREACHABLE,
    Icmp::TIME_EXCEEDED,
    Icmp::PARAMETER_PROBLEM,
];

/// "Traffic that must not be dropped" (RFC 4890, 4.4.1): no router fragments for IPv6, so a host
/// that misses `packet-too-big` sends into the void.
///
/// Left out of that section on purpose: inverse neighbour discovery (141, 142) is for links without
/// addresses of their own, such as frame relay; certificate paths (148, 149) are for SEND, which
/// hardly anybody runs; multicast router discovery (151 to 153) is for switches, not for hosts.
const ICMPV6_ERRORS: [Icmpv6; 4] = [
    Icmpv6::DESTINATION_UNREACHABLE,
    Icmpv6::PACKET_TOO_BIG,
    Icmpv6::TIME_EXCEEDED,
    Icmpv6::PARAMETER_PROBLEM,
];

/// Who is on the link (RFC 4861): without these there is no IPv6 at all. The source may be
/// global, or `::` while a neighbour looks whether its address is taken (RFC 4862, 5.4.2).
const NEIGHBOURS: [Icmpv6; 3] = [
    Icmpv6::ND_ROUTER_SOLICIT,
    Icmpv6::ND_NEIGHBOR_SOLICIT,
    Icmpv6::ND_NEIGHBOR_ADVERT,
];

/// Who listens to which multicast group (RFC 2710, RFC 3810): a switch that hears no answer to
/// its query stops sending neighbour discovery our way.
///
/// IGMP, which is the same for IPv4, is left out: IPv4 finds its neighbours by ARP, which is no
/// multicast, so a switch that hears no answer keeps back nothing that a host needs.
const LISTENERS: [Icmpv6; 4] = [
    Icmpv6::MLD_LISTENER_QUERY,
    Icmpv6::MLD_LISTENER_REPORT,
    Icmpv6::MLD_LISTENER_DONE,
    Icmpv6::MLD2_LISTENER_REPORT,
];

/// The settings that [`first`] and [`last`] read: `echo`, `dhcp-client`, `otherwise`, `log`.
///
/// ```
/// use portreeve_sdk::{describe, essentials};
///
/// let description = describe("example", "1", "An example.")
///     .settings(essentials::settings())
///     .build();
/// assert_eq!(description.settings[0].name, "echo");
/// ```
#[must_use]
pub fn settings() -> Vec<SettingSpec> {
    let described = describe("essentials", "1", "What every host needs.")
        .boolean("echo", true, "answer to ping")
        .boolean("dhcp-client", true, "let replies of DHCP servers in")
        .choice(
            "otherwise",
            ["drop", "reject"],
            "what happens to packets that no rule lets in",
        )
        .boolean("log", false, "log some of the packets that no rule lets in");
    described.build().settings
}

/// The rules that come first: what must work whatever else a host does.
///
/// ```
/// use portreeve_sdk::testing::inputs;
/// use portreeve_sdk::{Chain, ChainPolicy, describe, draft, essentials};
///
/// let description = describe("example", "1", "An example.")
///     .settings(essentials::settings())
///     .build();
/// let rules = essentials::first(&inputs(&description));
/// let draft = draft([Chain::input(ChainPolicy::Drop).rules(rules)]);
/// assert_eq!(draft.chains[0].rules[0].label, "loopback");
/// ```
#[must_use]
pub fn first(inputs: &Inputs) -> Vec<Rule> {
    let mut rules = vec![
        rule("loopback").iifname("lo").accept(),
        rule("established and related")
            .ct_state([CtState::Established, CtState::Related])
            .accept(),
        // Errors come before `invalid`: conntrack calls an error invalid when it has forgotten
        // the connection, and the sender must still hear of it.
        rule("icmp errors").icmp_type(ICMP_ERRORS).accept(),
        rule("icmpv6 errors").icmpv6_type(ICMPV6_ERRORS).accept(),
        // A hop limit of 255 cannot have come through a router (RFC 4861, 6.1 and 7.1).
        // Redirects are left out: a host works without them, and they move its routes.
        rule("neighbour discovery")
            .ip6_hoplimit(255)
            .icmpv6_type(NEIGHBOURS)
            .accept(),
        // A router speaks from its link-local address (RFC 4861, 6.1.2).
        rule("router advertisements")
            .saddr(prefixes([LINK_LOCAL]))
            .ip6_hoplimit(255)
            .icmpv6_type(Icmpv6::ND_ROUTER_ADVERT)
            .accept(),
        rule("multicast listeners")
            .saddr(prefixes([LINK_LOCAL]))
            .icmpv6_type(LISTENERS)
            .accept(),
        rule("invalid").ct_state(CtState::Invalid).drop(),
    ];
    if inputs.boolean("echo") {
        // RFC 1122, 3.2.2.6 and RFC 4890, 4.4.1: hosts answer, and Teredo and operators rely on it.
        rules.push(rule("echo").icmp_type(Icmp::ECHO_REQUEST).accept());
        rules.push(
            rule("echo (icmpv6)")
                .icmpv6_type(Icmpv6::ECHO_REQUEST)
                .accept(),
        );
    }
    if inputs.boolean("dhcp-client") {
        rules.extend(dhcp_client());
    }
    rules
}

/// Replies of DHCP servers. Conntrack sees no reply to a request that was sent to everybody.
fn dhcp_client() -> [Rule; 2] {
    [
        // RFC 2131, 4.1: from port 67 to port 68.
        rule("dhcp replies")
            .meta_nfproto(Family::Ip)
            .udp_sport(67)
            .udp_dport(68)
            .accept(),
        // A client listens on port 546; a server may answer from any port (RFC 8415, 7.2). The
        // client asks from its link-local address (17.1), so a server or a relay on the link
        // answers to that address.
        rule("dhcpv6 replies")
            .saddr(prefixes([LINK_LOCAL]))
            .daddr(prefixes([LINK_LOCAL]))
            .udp_dport(546)
            .accept(),
    ]
}

/// The rules that come last: what is done with the packets that no rule has let in. The chain
/// policy drops what they leave.
///
/// ```
/// use portreeve_sdk::testing::inputs;
/// use portreeve_sdk::{describe, essentials};
///
/// let description = describe("example", "1", "An example.")
///     .settings(essentials::settings())
///     .build();
/// assert!(essentials::last(&inputs(&description)).is_empty());
/// ```
#[must_use]
pub fn last(inputs: &Inputs) -> Vec<Rule> {
    let mut rules = Vec::new();
    if inputs.boolean("log") {
        // Limited, so that a flood of packets is not a flood of writes to the disk.
        let log = rule("log")
            .limit_rate(10, TimeUnit::Minute, 5)
            .log("portreeve: ", LogLevel::Info)
            .continue_();
        rules.push(log);
    }
    if inputs.choice("otherwise") == "reject" {
        // What a port on which nobody listens answers (RFC 9293, 3.10.7.1; RFC 1122, 4.1.3.1).
        let reset = rule("reject tcp")
            .meta_l4proto(PROTOCOL_TCP)
            .reject(Reject::TcpReset);
        rules.push(reset);
        rules.push(rule("reject").reject(Reject::PortUnreachable));
    }
    rules
}

/// The packets that [`first`] accepts, for a goal.
///
/// ```
/// use portreeve_sdk::{essentials, goal};
///
/// let goal = goal("nothing else comes in").exactly_these_accepted(essentials::packets());
/// ```
#[must_use]
pub fn packets() -> Vec<Matches<Promise>> {
    let all = crate::rule::packets;
    // What conntrack makes sense of, or has been told to leave alone.
    let valid = || all().ct_state(!Values::from(CtState::Invalid));
    let from_link = |packets: Matches<Promise>| packets.saddr(prefixes([LINK_LOCAL]));
    vec![
        all().iifname("lo"),
        all().ct_state([CtState::Established, CtState::Related]),
        all().icmp_type([Icmp(3), Icmp(11), Icmp(12)]),
        all().icmpv6_type([Icmpv6(1), Icmpv6(2), Icmpv6(3), Icmpv6(4)]),
        all()
            .ip6_hoplimit(255)
            .icmpv6_type([Icmpv6(133), Icmpv6(135), Icmpv6(136)]),
        from_link(all()).ip6_hoplimit(255).icmpv6_type(Icmpv6(134)),
        from_link(all()).icmpv6_type([Icmpv6(130), Icmpv6(131), Icmpv6(132), Icmpv6(143)]),
        valid().when("echo").icmp_type(Icmp(8)),
        valid().when("echo").icmpv6_type(Icmpv6(128)),
        valid()
            .when("dhcp-client")
            .meta_nfproto(Family::Ip)
            .udp_sport(67)
            .udp_dport(68),
        from_link(valid())
            .when("dhcp-client")
            .daddr(prefixes([LINK_LOCAL]))
            .udp_dport(546),
    ]
}

/// The packets that [`first`] treats alike in both families, for a goal: all but ICMP, of which
/// each family has its own, and what goes to the ports of DHCP clients.
///
/// ```
/// use portreeve_sdk::{essentials, goal};
///
/// let goal = goal("IPv4 and IPv6 fare alike").families_alike(essentials::packets_alike());
/// ```
pub fn packets_alike() -> [Matches<Promise>; 2] {
    let apart = [PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP].map(|number| number..=number);
    let all = crate::rule::packets;
    [
        all().meta_l4proto(!Values::from(apart)),
        all().udp_dport(!Ports::from([68, 546])),
    ]
}
