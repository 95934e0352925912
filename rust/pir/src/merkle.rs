//! The Merkle tree over columns: RFC 9162, section 2.1.1, cut below its top ten levels.
//!
//! What is above the cut is the public list of top hashes; what is below stands in each column as its path.

use sha2::{Digest, Sha256};

/// Bytes of a SHA-256 hash.
pub(crate) const HASH: usize = 32;
/// Top hashes there are at most: 32 KiB that everybody has.
const TOP: u32 = 1024;
/// What stands in a path where a node has no sibling and rises as it is.
const RISES: [u8; HASH] = [0x80; HASH];

pub(crate) type Hash = [u8; HASH];

/// Hashes of a column's path, from its leaf up to the top list: 0 for a tree of at most 1,024 leaves.
pub(crate) const fn path_hashes(leaves: u32) -> u32 {
    let mut hashes = 0;
    while leaves.div_ceil(1 << hashes) > TOP {
        hashes += 1;
    }
    hashes
}

/// The leaf of a column: which tags belong in it, and its record slots.
pub(crate) fn leaf(first: u128, last: u128, region: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(first.to_be_bytes())
        .chain_update(last.to_be_bytes())
        .chain_update(region)
        .finalize()
        .into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The level above: a last node without a sibling rises as it is.
fn above(level: &[Hash]) -> Vec<Hash> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node(left, right),
            [alone, ..] => *alone,
            [] => RISES,
        })
        .collect()
}

/// The root over hashes of one level, all of that level.
pub(crate) fn root(level: &[Hash]) -> Hash {
    let mut level = level.to_vec();
    while level.len() > 1 {
        level = above(&level);
    }
    level.first().copied().unwrap_or(RISES)
}

/// All levels that paths are made of, leaves first, and the top list last.
pub(crate) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    pub(crate) fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > TOP as usize) {
            levels.push(above(level));
        }
        Self(levels)
    }

    pub(crate) fn top(&self) -> &[Hash] {
        self.0.last().map_or(&[], Vec::as_slice)
    }

    /// The siblings of a leaf's ancestors, from the leaf up to the top list.
    pub(crate) fn path(&self, leaf: usize) -> impl Iterator<Item = &Hash> {
        let below = self.0.len().saturating_sub(1);
        let levels = self.0.iter().take(below).enumerate();
        levels.map(move |(height, level)| level.get((leaf >> height) ^ 1).unwrap_or(&RISES))
    }
}

/// The top hash that a leaf and its path lead to; `None` if the path does not fit the tree's shape.
pub(crate) fn climb(leaf: Hash, index: usize, leaves: usize, path: &[Hash]) -> Option<Hash> {
    let mut hash = leaf;
    for (height, sibling) in path.iter().enumerate() {
        let at = index >> height;
        hash = if at ^ 1 >= leaves.div_ceil(1 << height) {
            (*sibling == RISES).then_some(hash)?
        } else if at & 1 == 0 {
            node(&hash, sibling)
        } else {
            node(sibling, &hash)
        };
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u32) -> Vec<Hash> {
        (0..count)
            .map(|at| Sha256::digest(at.to_le_bytes()).into())
            .collect()
    }

    /// As RFC 9162, section 2.1.1, defines it: split at the largest power of two below the number.
    fn slow_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => RISES,
            [alone] => *alone,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&slow_root(left), &slow_root(right))
            }
        }
    }

    #[test]
    fn the_root_is_the_standards() {
        for count in [1, 2, 3, 64, 1_023, 1_024, 1_025, 1_088, 5_000] {
            let tree = Tree::new(leaves(count));
            assert_eq!(root(tree.top()), slow_root(&leaves(count)), "{count}");
        }
    }

    #[test]
    fn every_path_leads_to_its_top_hash_and_to_no_other() {
        for count in [64, 1_024, 1_088, 2_112, 4_160] {
            let leaves = leaves(count);
            let tree = Tree::new(leaves.clone());
            for (at, leaf) in leaves.iter().enumerate() {
                let path: Vec<Hash> = tree.path(at).copied().collect();
                assert_eq!(path.len(), path_hashes(count) as usize);
                let top = climb(*leaf, at, leaves.len(), &path);
                assert_eq!(top.as_ref(), tree.top().get(at >> path.len()));
            }
        }
    }

    #[test]
    fn a_sibling_where_a_node_rises_is_refused() {
        let leaves = leaves(1_025);
        let tree = Tree::new(leaves.clone());
        let last = leaves.last().copied().unwrap_or(RISES);
        assert_eq!(tree.path(1_024).copied().collect::<Vec<_>>(), [RISES]);
        assert_eq!(
            climb(last, 1_024, 1_025, &[RISES]),
            tree.top().last().copied()
        );
        assert_eq!(climb(last, 1_024, 1_025, &[last]), None);
    }
}
