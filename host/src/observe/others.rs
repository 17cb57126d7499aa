//! The tables of others, as nft lists them now.
//!
//! Ours is left out: to list its elements takes minutes where a set is large, and what will be in
//! it is known better.

use portreeve_model::tables::{Table, Tables};
use portreeve_nft::{is_ours, read as read_listing};

use crate::apply::kernel::Kernel;
use crate::apply::nft::Nft;
use crate::apply::with_causes;
use crate::guard::Fact;

/// Every table of the kernel but ours. Of a set whose elements cannot be had, it is not known which
/// it has.
pub(super) fn read() -> Fact<Tables> {
    let nft = Nft::find().map_err(|error| with_causes(&error))?;
    // Most machines have none, and to start nft for that takes longer than everything else here.
    // Where the kernel does not tell, nft says why.
    let told = Kernel::open().and_then(|mut kernel| kernel.may_hold_others());
    if matches!(told, Ok(false)) {
        return Ok(Tables::default());
    }
    let listing = nft
        .list_everything_tersely()
        .map_err(|error| with_causes(&error))?;
    let mut all = read_listing(&listing).map_err(|error| with_causes(&error))?;
    all.tables
        .retain(|table| !is_ours(table.family, &table.name));
    for table in &mut all.tables {
        if !table.sets.is_empty() {
            with_elements(&nft, table);
        }
    }
    Ok(all)
}

/// Puts a table in the place of one that was listed without the elements of its sets.
fn with_elements(nft: &Nft, table: &mut Table) {
    let listing = nft.list_table(table.family, &table.name);
    let whole = listing.ok().flatten();
    let whole = whole.and_then(|listing| read_listing(&listing).ok());
    let named = whole.and_then(|all| {
        let mut tables = all.tables.into_iter();
        tables.find(|it| (it.family, &it.name) == (table.family, &table.name))
    });
    match named {
        Some(whole) => *table = whole,
        None => table.sets.iter_mut().for_each(|set| set.elements = None),
    }
}
