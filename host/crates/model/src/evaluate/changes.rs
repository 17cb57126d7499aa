//! What rules change of a packet, for the rules that come after them.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::field::Field;
use crate::packet::Loaded;

/// Fields that have another value than the packet came with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Sorted: there are few, and most packets have none.
    fields: Vec<(Field, Loaded)>,
    /// Something unknown may have changed anything.
    anything: bool,
}

impl Changes {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.anything
    }

    /// What `field` is now; none when it is as the packet came.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<Loaded> {
        let mut fields = self.fields.iter();
        let changed = fields.find(|(changed, _)| *changed == field);
        let changed = changed.map(|(_, value)| *value);
        changed.or((self.anything && can_change(field)).then_some(Loaded::Unknown))
    }

    /// The fields that were changed, with what they are now.
    pub fn iter(&self) -> impl Iterator<Item = (Field, Loaded)> {
        self.fields.iter().copied()
    }

    /// Whether the packet may go to another address or port than it was sent to.
    #[must_use]
    pub fn leads_elsewhere(&self) -> bool {
        let destination =
            |(field, _): &(Field, _)| matches!(field, Field::Daddr(_) | Field::ThDport);
        self.anything || self.fields.iter().any(destination)
    }

    /// Gives `field` another value.
    pub(super) fn set(&mut self, field: Field, value: Loaded) {
        match self
            .fields
            .binary_search_by_key(&field, |(field, _)| *field)
        {
            Ok(at) => self.fields[at].1 = value,
            Err(at) => self.fields.insert(at, (field, value)),
        }
    }

    /// Makes everything unknown that a rule can change.
    pub(super) fn havoc(&mut self) {
        self.fields.clear();
        self.anything = true;
    }

    /// Makes these the changes of a packet that came by one of two ways.
    pub(super) fn merge(&mut self, other: &Self) {
        if self == other {
            return;
        }
        let fields = self.fields.iter().chain(&other.fields);
        let fields: BTreeSet<Field> = fields.map(|(field, _)| *field).collect();
        let either = fields.into_iter().map(|field| {
            let value = self.get(field);
            let same = value == other.get(field);
            (field, value.filter(|_| same).unwrap_or(Loaded::Unknown))
        });
        self.fields = either.collect();
        self.anything |= other.anything;
    }
}

/// Whether a rule can change the field: not the interface that the packet came in by, nor what
/// makes it a packet of its family and protocol.
const fn can_change(field: Field) -> bool {
    !(field.is_of_iif() || matches!(field, Field::Nfproto | Field::L4proto | Field::Protocol))
}

/// The changes of a packet that may have come by several ways; none so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways(pub(super) Option<Changes>);

impl Ways {
    /// It may have come by this way too, which is the last.
    pub(super) fn put(&mut self, changes: Changes) {
        match &mut self.0 {
            Some(so_far) => so_far.merge(&changes),
            none => *none = Some(changes),
        }
    }

    /// It may have come by this way too.
    pub(super) fn add(&mut self, changes: &Changes) {
        match &mut self.0 {
            Some(so_far) => so_far.merge(changes),
            none => *none = Some(changes.clone()),
        }
    }

    /// It may have come by any of those ways too.
    pub(super) fn add_all(&mut self, other: &Self) {
        if let Some(changes) = &other.0 {
            self.add(changes);
        }
    }
}
