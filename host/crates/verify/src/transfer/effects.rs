//! What rules change of packets: a value put in for a variable in everything that comes later.

use portreeve_model::address::Family;
use portreeve_model::field::{Direction, FibSource, Field, PortProtocol};
use portreeve_model::packet::CtState;

use super::{At, Transfer, View};
use crate::program::{Load, Translation, Value};
use crate::space::{Changed, Fates, Level, NOTHING, Outcome, Region, Slice, Within};

/// An assignment: the field, what must be there for it, and what it is given.
pub(super) type Assignment<'p> = (Field, &'p Load, &'p Value);

impl Transfer<'_, '_> {
    /// Gives a field a value. What the value is made of is loaded first, and without it, or without
    /// an element of a map, the rule fails.
    pub(super) fn assign(
        &mut self,
        (field, load, value): Assignment<'_>,
        on: Fates,
        at: At,
    ) -> Within<Fates> {
        let (given, loads) = match value {
            Value::Constant(number) => return self.gives((field, load), Some(*number), on, at),
            Value::Unknown(loads) => (self.gives((field, load), None, on, at)?, loads),
            Value::Element { lookup, numbers } => match self.found(lookup, at.view)? {
                None => {
                    let given = self.gives((field, load), None, on, at)?;
                    (self.space.store.union(given, at.next)?, &lookup.loads)
                }
                Some(found) => {
                    let mut given = at.next;
                    for (number, truth) in numbers.iter().zip(found) {
                        let this = self.gives((field, load), *number, on, at)?;
                        given = self.where_it_holds(truth, this, given)?;
                    }
                    return Ok(given);
                }
            },
        };
        let there = self.there(loads, at.view)?;
        self.where_it_holds(there, given, at.next)
    }

    /// Gives a field a value that is there.
    fn gives(
        &mut self,
        (field, load): (Field, &Load),
        value: Option<u128>,
        on: Fates,
        at: At,
    ) -> Within<Fates> {
        let given = self.puts(on, field, value)?;
        if field.is_of_connection() {
            // Without a connection nothing of it can be set (`nft_ct_set_eval` in `nft_ct.c`).
            let connected = self.connected(at.view)?;
            return self.space.store.choose(connected, given, on);
        }
        // Nor can a field of a header that the packet does not have (`nft_payload_set_eval`).
        let has = self.there(std::slice::from_ref(load), at.view)?;
        self.where_it_holds(has, given, at.next)
    }

    /// What becomes of packets of which a field is given a value, or one that is not known.
    fn puts(&mut self, on: Fates, field: Field, value: Option<u128>) -> Within<Fates> {
        let level = Level::of(field);
        let mut given = match value {
            Some(value) => self.space.given(on, level, value)?,
            None => self.space.forgetting(on, level)?,
        };
        for slice in self.slices_of(level) {
            given = match value {
                Some(value) => self
                    .space
                    .given(given, Level::Slice(slice), slice.read(value))?,
                None => self.space.forgetting(given, Level::Slice(slice))?,
            };
        }
        for other in self.follows_from(field) {
            given = self.space.forgetting(given, other)?;
        }
        let variable = level.field().unwrap_or(field);
        let given = self.records(given, |changed| changed.after(variable, value))?;
        // Where a header is cut off, nothing can be put into it.
        let having = self.space.having(level)?;
        self.space.store.choose(having, given, on)
    }

    /// Says of packets that are accepted what was changed of them.
    fn records(&mut self, fates: Fates, change: impl Fn(Changed) -> Changed) -> Within<Fates> {
        let record = |outcome| match outcome {
            Outcome::Accept(changed) => Outcome::Accept(change(changed)),
            ended @ (Outcome::Drop | Outcome::Reject(_)) => ended,
        };
        self.space
            .store
            .map_outcomes(fates, &|outcomes| outcomes.map(record))
    }

    fn slices_of(&self, level: Level) -> Vec<Slice> {
        let levels = self.space.levels().iter();
        let slices = levels.filter_map(|it| match it {
            Level::Slice(slice) if Level::Field(slice.field) == level => Some(*slice),
            _ => None,
        });
        slices.collect()
    }

    /// What may be something else when a field is: what lies in the same bytes, what the routing
    /// tables say, and whatever is not known.
    fn follows_from(&self, field: Field) -> Vec<Level> {
        let changed = Level::of(field);
        let follows = |level: &Level| match level {
            Level::Unknown(_) => true,
            Level::EarlyCtState | Level::Slice(_) => false,
            Level::Field(Field::Fib(fib)) => match field {
                Field::Mark => fib.mark,
                Field::Saddr(_) => fib.of == FibSource::Saddr,
                Field::Daddr(_) => fib.of == FibSource::Daddr,
                _ => false,
            },
            Level::Field(Field::IcmpType(_) | Field::IcmpCode(_)) => {
                changed == Level::Field(Field::ThSport)
            }
            Level::Field(Field::ThSport) => {
                matches!(field, Field::IcmpType(_) | Field::IcmpCode(_))
            }
            Level::Field(_) => false,
        };
        self.space
            .levels()
            .iter()
            .copied()
            .filter(follows)
            .collect()
    }

    /// Tells conntrack to leave packets alone that have no connection yet (`nft_notrack_eval` in
    /// `nft_ct.c`).
    pub(super) fn notrack(&mut self, on: Fates, view: View) -> Within<Fates> {
        let mut left_alone = on;
        for level in [Level::Field(Field::CtState), Level::EarlyCtState] {
            left_alone = self
                .space
                .given(left_alone, level, CtState::Untracked as u128)?;
        }
        let connected = self.connected(view)?;
        self.space.store.choose(connected, on, left_alone)
    }

    /// Translates addresses, and accepts.
    pub(super) fn translate(
        &mut self,
        translation: &Translation,
        on: Fates,
        at: At,
    ) -> Within<Fates> {
        let there = self.there(&translation.loads, at.view)?;
        let with_ports = self.with_ports()?;
        let mut all = on;
        for (family, puts) in &translation.families {
            let mut after = at.after.translated;
            for (field, value) in puts {
                let given = self.puts(after, *field, *value)?;
                after = if matches!(field, Field::ThSport | Field::ThDport) {
                    // Where others have their ports, an ICMP message has its checksum.
                    let unknown = self.puts(after, *field, None)?;
                    self.space.store.choose(with_ports, given, unknown)?
                } else {
                    given
                };
            }
            after = self.answers_change(after, *family)?;
            if translation.may_fail {
                after = self.space.store.union(after, at.next)?;
            }
            let after = self.where_it_holds(there, after, at.next)?;
            let nfproto = Level::Field(Field::Nfproto);
            let of_family = self.space.at_value(nfproto, family.number().into())?;
            all = self.space.store.choose(of_family, after, all)?;
        }
        Ok(all)
    }

    /// What conntrack expects to come back, and what it says of the connection, follows from a
    /// translation.
    fn answers_change(&mut self, fates: Fates, family: Family) -> Within<Fates> {
        let answers = [
            Field::CtStatus,
            Field::IcmpId(family),
            Field::CtSaddr(Direction::Reply, family),
            Field::CtDaddr(Direction::Reply, family),
            Field::CtSport(Direction::Reply),
            Field::CtDport(Direction::Reply),
        ];
        answers.into_iter().try_fold(fates, |fates, answer| {
            self.space.forgetting(fates, Level::of(answer))
        })
    }

    /// The packets of protocols that have ports.
    pub(super) fn with_ports(&mut self) -> Within<Region> {
        PortProtocol::ALL
            .into_iter()
            .try_fold(NOTHING, |all, protocol| {
                let l4proto = Level::Field(Field::L4proto);
                let of_protocol = self.space.at_value(l4proto, protocol.number().into())?;
                self.space.store.or(all, of_protocol)
            })
    }

    /// What may become of packets of which anything may have been changed that a rule can change:
    /// not the interface that they came in by, nor what makes them packets of their family and
    /// protocol.
    pub(super) fn havoc(&mut self, fates: Fates) -> Within<Fates> {
        let can_change = |level: &Level| match level {
            Level::Field(field) => {
                !(field.is_of_iif() || matches!(field, Field::Nfproto | Field::L4proto))
            }
            Level::Slice(_) | Level::EarlyCtState | Level::Unknown(_) => true,
        };
        let levels: Vec<Level> = self
            .space
            .levels()
            .iter()
            .copied()
            .filter(can_change)
            .collect();
        let any = levels
            .into_iter()
            .try_fold(fates, |fates, level| self.space.forgetting(fates, level))?;
        self.records(any, |mut changed| {
            changed.anything = true;
            changed
        })
    }
}
