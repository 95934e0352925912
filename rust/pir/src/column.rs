//! A column that was retrieved: what proves it, and what it says about a tag.

use crate::layout::{File, RECORD, TAG};
use crate::merkle::{self, HASH, Hash};
use crate::{Error, Fences, Layout, Result};

/// What stands in a slot without a record: digits of zero.
pub(crate) const EMPTY: [u8; RECORD] = [0x80; RECORD];

/// What a client knows of a table's columns: where each begins, and the hashes that they verify against.
pub struct Columns {
    layout: Layout,
    fences: Fences,
    top: Vec<Hash>,
}

impl Columns {
    /// Check the files of fence keys (PIR-04) and of top hashes against the layout, whose root is in the manifest.
    ///
    /// PIR-03 the top hashes are as many as it says, and have its root.
    pub fn new(layout: &Layout, fences: &[u8], top: &[u8]) -> Result<Self> {
        let (top, rest) = layout.body(top, File::Top)?.as_chunks::<HASH>();
        let hashes = layout.columns().div_ceil(1 << paths(layout));
        if top.len() != hashes || !rest.is_empty() {
            return Err(Error::Length);
        }
        if merkle::root(top) != layout.root {
            return Err(Error::Root);
        }
        Ok(Self {
            layout: *layout,
            fences: Fences::from_bytes(fences, layout)?,
            top: top.to_vec(),
        })
    }

    /// The one column that can hold a tag.
    pub fn column(&self, tag: &[u8]) -> Result<u32> {
        self.fences.column(tag)
    }

    /// Where the columns begin.
    #[must_use]
    pub const fn fences(&self) -> &Fences {
        &self.fences
    }

    /// The record under a tag, or `None` if it is proved that there is none.
    ///
    /// `column` is what was retrieved of the column that the tag belongs to.
    ///
    /// PIR-05 it leads to the root, together with the tags that belong in it.
    /// PIR-06 its records ascend, between those, and empty slots follow.
    pub fn open(&self, tag: &[u8], column: &[u8]) -> Result<Option<[u8; RECORD]>> {
        let index = self.fences.column(tag)?;
        let (first, last) = self.fences.bounds(index)?;
        if column.len() != self.layout.rows() {
            return Err(Error::Length);
        }
        let (region, path) = column
            .split_at_checked(self.layout.shape.region())
            .ok_or(Error::Length)?;
        self.verify(index, merkle::leaf(first, last, region), path)?;
        let records = records(region, first, last)?;
        Ok(records
            .iter()
            .find(|record| record.starts_with(tag))
            .copied())
    }

    fn verify(&self, index: u32, leaf: Hash, path: &[u8]) -> Result<()> {
        let index = index as usize;
        let (path, _) = path.as_chunks::<HASH>();
        let top = merkle::climb(leaf, index, self.layout.columns(), path).ok_or(Error::Column)?;
        if self.top.get(index >> path.len()) == Some(&top) {
            Ok(())
        } else {
            Err(Error::Column)
        }
    }
}

fn paths(layout: &Layout) -> u32 {
    merkle::path_hashes(layout.shape.columns)
}

/// The records of a region: those before the first empty slot, if they ascend within the bounds and nothing
/// follows them.
fn records(region: &[u8], first: u128, last: u128) -> Result<&[[u8; RECORD]]> {
    let (slots, _) = region.as_chunks::<RECORD>();
    let taken = slots.iter().take_while(|&slot| *slot != EMPTY).count();
    let (records, empty) = slots.split_at_checked(taken).ok_or(Error::Internal)?;
    let ascend = records.is_sorted_by(|before, after| tag(before) < tag(after));
    let within = records
        .iter()
        .all(|record| (first..=last).contains(&tag(record)));
    if ascend && within && empty.iter().all(|slot| *slot == EMPTY) {
        Ok(records)
    } else {
        Err(Error::Column)
    }
}

/// A record's tag as a number.
pub(crate) fn tag(record: &[u8; RECORD]) -> u128 {
    record
        .first_chunk::<TAG>()
        .map_or(0, |tag| u128::from_be_bytes(*tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(tag: u8) -> [u8; RECORD] {
        let mut slot = [0; RECORD];
        slot[TAG - 1] = tag;
        slot
    }

    /// Whether a region is one, where tags 2 to 9 belong.
    fn passes(slots: &[[u8; RECORD]]) -> bool {
        records(slots.as_flattened(), 2, 9).is_ok()
    }

    #[test]
    fn a_region_ascends_within_its_bounds_and_ends_in_empty_slots() {
        assert!(passes(&[EMPTY, EMPTY]));
        assert!(passes(&[slot(2), slot(9)]));
        assert!(passes(&[slot(3), EMPTY]));
    }

    #[test]
    fn a_region_that_the_directory_made_wrong_is_refused_though_it_verifies() {
        assert!(!passes(&[slot(5), slot(4)]), "out of order");
        assert!(!passes(&[slot(5), slot(5)]), "twice");
        assert!(!passes(&[slot(1), slot(5)]), "before the bounds");
        assert!(!passes(&[slot(5), slot(10)]), "behind the bounds");
        assert!(!passes(&[EMPTY, slot(5)]), "behind an empty slot");
    }
}
