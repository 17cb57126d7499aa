//! Statements that change packets: marks, conntrack's attention, addresses.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use portreeve_model::draft::{Nat, Statement, Target};
use portreeve_model::ruleset::{Mark, MarkValue};

use crate::rule::{Acting, Matches, Rule};

/// Marks, and what conntrack is told.
impl<Of: Into<Acting>> Matches<Of> {
    /// `meta mark set`: the packet gets a mark.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("vpn").meta_skuid(1000).meta_mark_set(1).continue_();
    /// ```
    pub fn meta_mark_set(self, mark: u32) -> Matches<Acting> {
        self.then(Statement::SetMark(Mark::Packet, MarkValue::Number(mark)))
    }

    /// `meta mark set ct mark`: the packet gets the mark of its connection.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("restore").meta_mark_set_ct_mark().continue_();
    /// ```
    pub fn meta_mark_set_ct_mark(self) -> Matches<Acting> {
        self.then(Statement::SetMark(Mark::Packet, MarkValue::Copied))
    }

    /// `ct mark set`: the connection gets a mark.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("from the VPN").iifname("wg0").ct_mark_set(1).continue_();
    /// ```
    pub fn ct_mark_set(self, mark: u32) -> Matches<Acting> {
        self.then(Statement::SetMark(
            Mark::Connection,
            MarkValue::Number(mark),
        ))
    }

    /// `ct mark set meta mark`: the connection gets the mark of the packet.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("save").ct_mark_set_meta_mark().continue_();
    /// ```
    pub fn ct_mark_set_meta_mark(self) -> Matches<Acting> {
        self.then(Statement::SetMark(Mark::Connection, MarkValue::Copied))
    }

    /// `notrack`: conntrack leaves the packet alone; in a chain at prerouting or output, up to
    /// priority -200.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("dns").udp_dport(53).notrack().continue_();
    /// ```
    pub fn notrack(self) -> Matches<Acting> {
        self.then(Statement::Notrack)
    }
}

/// NAT, which ends the rule, in a chain of type `nat`. With ports the rule must match one protocol
/// that has ports.
impl<Of: Into<Acting>> Matches<Of> {
    /// `dnat to`: another destination.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// let web = std::net::IpAddr::from([192, 0, 2, 80]);
    /// rule("web").tcp_dport(443).dnat(web, Some(8443..=8443));
    /// ```
    pub fn dnat(self, to: IpAddr, ports: Option<RangeInclusive<u16>>) -> Rule {
        self.end(Statement::Nat(Nat::Dnat(target(to, ports))))
    }

    /// `snat to`: another source.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// let address = std::net::IpAddr::from([192, 0, 2, 1]);
    /// rule("out").oifname("wan0").snat(address, None);
    /// ```
    pub fn snat(self, to: IpAddr, ports: Option<RangeInclusive<u16>>) -> Rule {
        self.end(Statement::Nat(Nat::Snat(target(to, ports))))
    }

    /// `masquerade`: the address of the interface that the packet goes out by, as source.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("out").oifname("wan0").masquerade();
    /// ```
    pub fn masquerade(self) -> Rule {
        self.end(Statement::Nat(Nat::Masquerade { ports: None }))
    }

    /// `redirect to`: this machine, at another port.
    ///
    /// ```
    /// # use portreeve_sdk::rule;
    /// rule("proxy").tcp_dport(80).redirect(3128);
    /// ```
    pub fn redirect(self, port: u16) -> Rule {
        let ports = Some(port..=port);
        self.end(Statement::Nat(Nat::Redirect { ports }))
    }
}

const fn target(to: IpAddr, ports: Option<RangeInclusive<u16>>) -> Target {
    Target {
        first: to,
        last: to,
        ports,
    }
}
