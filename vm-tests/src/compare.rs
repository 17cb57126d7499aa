//! The model's word on an attempt: what the rules that the kernel lists do to its first packet.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::address::Family;
use portreeve_model::evaluate::{Fate, HookVerdict, journey};
use portreeve_model::field::PortProtocol;
use portreeve_model::icmp;
use portreeve_model::packet::{Addresses, CtState, Hook, Packet, Transport};
use portreeve_model::tables::Tables;

use crate::network::packet::Target;
use crate::probe::{Probe, Verdict};
use crate::scenario::Case;

/// How the kernel differs from what was said of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Difference {
    /// It let in what must stay out.
    WronglyOpen,
    /// It kept out what must come in.
    WronglyClosed,
    /// It kept it out, but not in the way that was said.
    OtherRefusal,
}

impl Difference {
    /// Between what came of an attempt and what may come of it; none when it is one of those.
    #[must_use]
    pub fn between(observed: Verdict, allowed: &BTreeSet<Verdict>) -> Option<Self> {
        if allowed.contains(&observed) {
            return None;
        }
        Some(match (observed, allowed.contains(&Verdict::Open)) {
            (Verdict::Open, _) => Self::WronglyOpen,
            (_, true) => Self::WronglyClosed,
            (_, false) => Self::OtherRefusal,
        })
    }

    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::WronglyOpen => "wrongly open",
            Self::WronglyClosed => "wrongly closed",
            Self::OtherRefusal => "refused in another way",
        }
    }
}

/// Everything that may come of an attempt, as the model has it.
#[must_use]
pub fn predicted(tables: &Tables, case: &Case) -> BTreeSet<Verdict> {
    let packet = first_packet(&case.probe, case.card);
    let family = packet.addresses.family();
    let journey = journey(tables, &packet);
    let verdict = |fate: &Fate<'_>| match (fate.verdict, fate.reject) {
        (HookVerdict::Accept, _) => Verdict::Open,
        (HookVerdict::Drop, Some(reject)) => Verdict::of_reject(reject, family),
        (HookVerdict::Drop, None) => Verdict::Dropped,
    };
    journey.ends.iter().map(|end| verdict(&end.fate)).collect()
}

/// The first packet of an attempt, as the machine's input hook sees it.
fn first_packet(probe: &Probe, card: usize) -> Packet {
    let ports = |protocol, dport| Transport::Ports {
        protocol,
        sport: SOURCE_PORT,
        dport,
    };
    let transport = match probe.target {
        Target::Tcp(port) => ports(PortProtocol::Tcp, port),
        Target::Udp(port) => ports(PortProtocol::Udp, port),
        Target::Echo => Transport::Icmp {
            icmp_type: icmp::type_number(Family::of(probe.from), "echo-request")
                .expect("both families have an echo request"),
        },
    };
    Packet {
        hook: Hook::Input,
        iifname: format!("eth{card}"),
        oifname: String::new(),
        addresses: Addresses::new(probe.from, probe.to).expect("both are of one family"),
        hop_limit: 57,
        transport,
        ct_state: CtState::New,
        facts: BTreeMap::new(),
    }
}

/// Stands for whatever source port an attempt has.
const SOURCE_PORT: u16 = 40_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_in_and_what_is_kept_out_are_told_apart() {
        let only = |verdict| BTreeSet::from([verdict]);
        let check = |observed, allowed: &BTreeSet<Verdict>, expected| {
            assert_eq!(Difference::between(observed, allowed), expected);
        };
        use Difference::{OtherRefusal, WronglyClosed, WronglyOpen};
        check(Verdict::Open, &only(Verdict::Open), None);
        check(Verdict::Open, &only(Verdict::Dropped), Some(WronglyOpen));
        check(Verdict::Dropped, &only(Verdict::Open), Some(WronglyClosed));
        check(Verdict::Reset, &only(Verdict::Dropped), Some(OtherRefusal));
        let maybe = BTreeSet::from([Verdict::Open, Verdict::Dropped]);
        check(Verdict::Open, &maybe, None);
        check(Verdict::Rejected(3), &maybe, Some(WronglyClosed));
    }
}
