//! What rules change of a packet: fields, its connection, its addresses.

use alloc::vec::Vec;

use super::compute::Absent;
use super::walk::{At, Walker, Went};
use crate::address::Family;
use crate::field::{Direction, Field, PortProtocol};
use crate::packet::{CtState, Loaded, Transport};
use crate::tables::{Expression, Nat, NatKind, Rewrite};

impl<'a> Walker<'a, '_> {
    /// Gives a field another value.
    pub(super) fn assign(
        &mut self,
        field: Field,
        value: &'a Expression,
        at: &mut At<'a, '_>,
    ) -> Went {
        let computer = self.computer(at);
        let number = computer.number(value);
        if number == Loaded::Absent {
            return Went::Failed;
        }
        let perhaps = computer.may_be_absent(value);
        let now = if field.is_of_connection() {
            // Without a connection, nothing of it can be set (`nft_ct_set_eval` in `nft_ct.c`).
            match computer.view.connection() {
                Some(true) => number,
                Some(false) if perhaps => return Went::Maybe,
                Some(false) => return Went::On,
                None => Loaded::Unknown,
            }
        } else if computer.view.load(field) == Loaded::Absent {
            // Nor can a field of a header that the packet does not have (`nft_payload_set_eval`).
            return Went::Failed;
        } else {
            number
        };
        if perhaps {
            at.may_go_on();
        }
        at.here.set(field, now);
        for (same, bits) in same_bytes(field) {
            at.here.set(same, if bits { now } else { Loaded::Unknown });
        }
        if perhaps { Went::Maybe } else { Went::On }
    }

    /// Tells conntrack to leave the packet alone, unless it has a connection already
    /// (`nft_notrack_eval` in `nft_ct.c`).
    pub(super) fn notrack(&mut self, at: &mut At<'a, '_>) {
        let now = match self.computer(at).view.connection() {
            Some(true) => return,
            Some(false) => Loaded::Value(CtState::Untracked as u128),
            None => Loaded::Unknown,
        };
        at.here.set(Field::CtState, now);
    }

    pub(super) fn nat(&mut self, nat: &'a Nat, at: &mut At<'a, '_>) -> Went {
        let family = self.packet.addresses.family();
        // It lets packets of the other family pass by (`nft_nat_inet_eval` in `nft_nat.c`).
        if nat.family.is_some_and(|only| only != family) {
            return Went::On;
        }
        let Ok((address, port)) = self.puts(nat, at) else {
            return Went::Failed;
        };
        let mut changed = at.here.clone();
        let has_ports = matches!(self.packet.transport, Transport::Ports { .. });
        for (field, usual) in translated_fields(nat.kind, family) {
            let of_address = matches!(field, Field::Saddr(_) | Field::Daddr(_));
            let put = if of_address { address } else { port };
            match put.or(usual) {
                // Where others have their ports, an ICMP message has its checksum.
                Some(_) if !of_address && !has_ports => changed.set(field, Loaded::Unknown),
                Some(value) => changed.set(field, value),
                None => {}
            }
        }
        // What conntrack expects to come back, and what it says of the connection, follows.
        for answer in [
            Field::CtStatus,
            Field::IcmpId(family),
            Field::CtSaddr(Direction::Reply, family),
            Field::CtDaddr(Direction::Reply, family),
            Field::CtSport(Direction::Reply),
            Field::CtDport(Direction::Reply),
        ] {
            changed.set(answer, Loaded::Unknown);
        }
        if !self.may_put_nothing(nat, at) {
            return self.translates(at, &changed);
        }
        at.may_go_on();
        self.translates(at, &changed);
        Went::MayHaveEnded
    }

    /// Whether what NAT puts in may not be there, so that nothing is translated.
    fn may_put_nothing(&self, nat: &'a Nat, at: &At<'a, '_>) -> bool {
        let computer = self.computer(at);
        let mut rewrites = [&nat.address, &nat.port].into_iter().flatten();
        rewrites.any(|rewrite| match rewrite {
            Rewrite::OneOf(_) => false,
            Rewrite::Value { of, .. } => computer.may_be_absent(of),
        })
    }

    /// The address and the port that NAT puts in, as far as the rule says them.
    fn puts(
        &self,
        nat: &'a Nat,
        at: &At<'a, '_>,
    ) -> Result<(Option<Loaded>, Option<Loaded>), Absent> {
        let computer = self.computer(at);
        let value = |rewrite: &'a Rewrite| match rewrite {
            Rewrite::OneOf(interval) if interval.first() == interval.last() => {
                Ok(Loaded::Value(interval.first()))
            }
            Rewrite::OneOf(_) => Ok(Loaded::Unknown),
            Rewrite::Value { of, part } => {
                let number = computer.numbers(of)?.get(*part).copied().flatten();
                Ok(number.map_or(Loaded::Unknown, Loaded::Value))
            }
        };
        Ok((
            nat.address.as_ref().map(value).transpose()?,
            nat.port.as_ref().map(value).transpose()?,
        ))
    }
}

/// The fields that a kind of NAT changes, with what they become when the rule does not say: a
/// destination keeps its port, a source may have to take one that is free (`get_unique_tuple` in
/// `nf_nat_core.c`).
fn translated_fields(
    kind: NatKind,
    family: Family,
) -> impl Iterator<Item = (Field, Option<Loaded>)> {
    let any = Some(Loaded::Unknown);
    let (address, of_ports, th, port): (_, fn(PortProtocol) -> Field, _, _) = match kind {
        NatKind::Snat => (
            (Field::Saddr(family), None),
            Field::Sport,
            Field::ThSport,
            any,
        ),
        NatKind::Masquerade => (
            (Field::Saddr(family), any),
            Field::Sport,
            Field::ThSport,
            any,
        ),
        NatKind::Dnat => (
            (Field::Daddr(family), None),
            Field::Dport,
            Field::ThDport,
            None,
        ),
        NatKind::Redirect => (
            (Field::Daddr(family), any),
            Field::Dport,
            Field::ThDport,
            None,
        ),
    };
    let ports = PortProtocol::ALL.into_iter().map(of_ports);
    let ports = ports.chain([th]).map(move |field| (field, port));
    ports.chain([address])
}

/// The fields that lie in the same bytes of a transport header, and whether in all of them.
fn same_bytes(field: Field) -> Vec<(Field, bool)> {
    let icmp = |of: fn(Family) -> Field| Family::BOTH.map(|family| (of(family), false));
    let ports = |of: fn(PortProtocol) -> Field| PortProtocol::ALL.map(|it| (of(it), true));
    match field {
        Field::Sport(_) => [(Field::ThSport, true)].into(),
        Field::Dport(_) => [(Field::ThDport, true)].into(),
        Field::IcmpType(_) | Field::IcmpCode(_) => [(Field::ThSport, false)].into(),
        Field::ThSport => {
            let icmp = icmp(Field::IcmpType)
                .into_iter()
                .chain(icmp(Field::IcmpCode));
            ports(Field::Sport).into_iter().chain(icmp).collect()
        }
        Field::ThDport => ports(Field::Dport).into(),
        _ => Vec::new(),
    }
}
