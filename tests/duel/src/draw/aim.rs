//! What a packet must be like for a rule to look at it, field by field.

use portreeve_model::address::Family;
use portreeve_model::packet::CtState;

/// Something that a packet can be given.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Aim {
    /// An IPv4 or an IPv6 packet.
    Family(Family),
    /// Its source address.
    Saddr(Family),
    /// Its destination address.
    Daddr(Family),
    /// The protocol above IP.
    Protocol,
    /// Source port.
    Sport,
    /// Destination port.
    Dport,
    /// `tcp flags`
    TcpFlags,
    /// ICMP type, of the ICMP of either family.
    IcmpType,
    /// ICMP code.
    IcmpCode,
    /// Identifier of an echo.
    IcmpId,
    /// Number of an echo.
    IcmpSequence,
    /// `ip ttl`, `ip6 hoplimit`.
    HopLimit,
    /// `dscp`
    Dscp,
    /// `ecn`
    Ecn,
    /// Bytes of the packet.
    Length,
    /// The index of the interface that it comes in by.
    Interface,
    /// The mark it begins with.
    Mark,
    /// What conntrack says of it.
    State(CtState),
    /// The direction in its connection, 1 is back.
    Direction,
    /// A fragment of a packet.
    Fragment,
    /// An extension header of IPv6, by its number, or [`NO_EXTENSION`].
    Extension,
    /// A destination behind this interface, so that the packet is forwarded.
    Oif,
    /// Whom the link layer addressed, as `meta pkttype` says it.
    Pkttype,
}

/// No extension header.
pub const NO_EXTENSION: u128 = 0x100;

/// Values for some fields.
pub type Wish = Vec<(Aim, u128)>;

/// What makes something hold, and what nearly does.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// With any of these it holds.
    pub hits: Vec<Wish>,
    /// With any of these it does not: just beside.
    pub near: Vec<Wish>,
}

impl Wishes {
    /// It holds for `hit`, and not for `near`.
    #[must_use]
    pub fn of(hit: Wish, near: Wish) -> Self {
        Self {
            hits: vec![hit],
            near: vec![near],
        }
    }

    /// The opposite.
    #[must_use]
    pub fn negated(self, negated: bool) -> Self {
        if negated {
            Self {
                hits: self.near,
                near: self.hits,
            }
        } else {
            self
        }
    }

    /// Each of them with this as well.
    #[must_use]
    pub fn with(mut self, also: &[(Aim, u128)]) -> Self {
        for wish in self.hits.iter_mut().chain(&mut self.near) {
            wish.splice(0..0, also.iter().copied());
        }
        self
    }
}
