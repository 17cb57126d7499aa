//! A region in nft's words.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{Extent, Region};
use crate::diagnostic::Said;
use crate::field::{Field, Kind};

/// Values that are written out, at most; of more, the named sets are told that say the same.
const SHOWN: usize = 8;

impl Region<'_> {
    /// Whether the region is every packet.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.extents.is_empty()
    }
}

/// What must be of a packet; nothing when it may be any.
impl fmt::Display for Region<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.extents().map(|(field, extent)| extent.text(field));
        f.write_str(&texts.collect::<Vec<String>>().join(" "))
    }
}

impl Extent<'_> {
    /// What must be of `field`, which the extent is of.
    #[must_use]
    pub fn text(&self, field: Field) -> String {
        let Some(values) = &self.values else {
            return alloc::format!("{field} absent");
        };
        let kind = field.kind();
        let others = values.complement(field.max());
        let texts = kind.texts(values);
        if texts.len() > 1 && kind.texts(&others).len() < texts.len() {
            let texts = kind.texts(&others);
            if texts.len() <= SHOWN {
                return alloc::format!("{field} != {}", listed(kind, &texts));
            }
        }
        if texts.len() <= SHOWN {
            return alloc::format!("{field} {}", listed(kind, &texts));
        }
        if self.by_sets {
            let of_set = |it: &super::Membership<'_>| {
                let not = if it.negated { "!= " } else { "" };
                alloc::format!("{field} {not}@{}", Said(&it.set.name))
            };
            return self.sets.iter().map(of_set).collect::<Vec<_>>().join(" ");
        }
        let more = texts.len() - SHOWN;
        let shown = texts[..SHOWN].join(", ");
        alloc::format!("{field} {{ {shown}, … {more} more }}")
    }

    /// How many addresses the extent has, if it is of addresses.
    #[must_use]
    pub fn addresses(&self, field: Field) -> Option<u128> {
        match (field.kind(), &self.values) {
            (Kind::Address(_), Some(values)) => Some(values.count()),
            _ => None,
        }
    }
}

/// Values as the right side of a match.
fn listed(kind: Kind, texts: &[String]) -> String {
    match texts {
        [only] => only.to_string(),
        // States are bits to nft: a list without braces asks for any of them.
        states if kind == Kind::CtState => states.join(","),
        several => alloc::format!("{{ {} }}", several.join(", ")),
    }
}
