//! Proofs of a long trail without reading all of it: the roots of its complete blocks are kept.

use std::ops::Range;

use super::{
    Frontier, Plan,
    proof::{consistency_path, inclusion_path},
};
use crate::Hash;

/// Leaves of a block.
pub const BLOCK: u64 = 1024;

/// The roots of the complete blocks of [`BLOCK`] leaves at the beginning of a trail.
///
/// It is filled from the front, in steps of any size, and makes a [`Plan`] for any tree of the
/// trail. What it does not know yet is left to be read: with every complete block of the tree known,
/// a plan reads at most three ranges, together less than two blocks.
///
/// ```
/// use samplit_audit::{Hash, merkle::{Subtrees, verify_inclusion}};
///
/// let trail: Vec<Hash> = (0..5_000_u32).map(|index| Hash::of(&index.to_be_bytes())).collect();
/// let mut subtrees = Subtrees::new();
/// subtrees.extend(trail.iter().copied());
///
/// let read = |range: std::ops::Range<u64>| trail[range.start as usize..range.end as usize].to_vec();
/// let plan = subtrees.inclusion(1_500, 4_900).expect("inside the tree");
/// assert_eq!(plan.reads(), [1_024..1_500, 1_501..2_048, 4_096..4_900]);
/// let leaves: Vec<Hash> = plan.reads().into_iter().flat_map(read).collect();
/// let proof = plan.compute(leaves).expect("the leaves that were asked for");
///
/// let plan = subtrees.root(4_900);
/// let leaves: Vec<Hash> = plan.reads().into_iter().flat_map(read).collect();
/// let root = plan.compute(leaves).expect("the leaves that were asked for")[0];
/// assert!(verify_inclusion(1_500, 4_900, trail[1_500], &proof, root));
/// ```
#[derive(Clone, Debug)]
pub struct Subtrees {
    block: u64,
    roots: Vec<Hash>,
    /// The block that is not complete.
    tail: Frontier,
}

impl Default for Subtrees {
    fn default() -> Self {
        Self::with_block(BLOCK)
    }
}

impl Extend<Hash> for Subtrees {
    /// Takes the leaves that come next.
    fn extend<T: IntoIterator<Item = Hash>>(&mut self, leaves: T) {
        for leaf in leaves {
            self.tail.push(leaf);
            if self.tail.size() == self.block {
                self.roots.push(std::mem::take(&mut self.tail).root());
            }
        }
    }
}

impl Subtrees {
    /// Of a trail of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With blocks of `block` leaves, a power of two.
    fn with_block(block: u64) -> Self {
        Self {
            block,
            roots: Vec::new(),
            tail: Frontier::new(),
        }
    }

    /// Number of leaves taken so far: the index of the leaf with which to go on.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.complete() * self.block + self.tail.size()
    }

    fn complete(&self) -> u64 {
        u64::try_from(self.roots.len()).expect("a length fits")
    }

    /// Plans the proof that leaf `index` is in the tree of the first `size` leaves.
    ///
    /// Nothing unless `index < size`.
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Plan> {
        Some(Plan::new(&inclusion_path(index, size)?, self))
    }

    /// Plans the proof that the tree of `old` leaves is a prefix of the tree of `new` leaves.
    ///
    /// Nothing unless `1 <= old <= new`.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Plan> {
        Some(Plan::new(&consistency_path(old, new)?, self))
    }

    /// Plans the root of the first `size` leaves.
    #[must_use]
    pub fn root(&self, size: u64) -> Plan {
        Plan::new(std::slice::from_ref(&(0..size)), self)
    }

    /// What is known of the beginning of a range that is a node of a tree.
    ///
    /// Such a range starts at a multiple of the least power of two that is not below its length: it
    /// begins with a block, or it lies inside one.
    pub(super) fn frontier(&self, range: &Range<u64>) -> Frontier {
        let blocks = range.start / self.block..(range.end / self.block).min(self.complete());
        let mut frontier = Frontier::new();
        if range.start.is_multiple_of(self.block) {
            for block in blocks {
                let block = usize::try_from(block).expect("less than a length");
                frontier.push_complete(self.block, self.roots[block]);
            }
        }
        frontier
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::{
        consistency_proof, inclusion_proof, root, verify_consistency, verify_inclusion,
    };

    fn leaves(size: u64) -> Vec<Hash> {
        (0..size)
            .map(|index| Hash::of(&index.to_be_bytes()))
            .collect()
    }

    /// What an engine would read, and how many ranges of it.
    fn compute(plan: Plan, trail: &[Hash]) -> (Vec<Hash>, Vec<Range<u64>>) {
        let reads = plan.reads();
        let index = |at| usize::try_from(at).unwrap();
        let leaves = reads
            .iter()
            .flat_map(|range| &trail[index(range.start)..index(range.end)]);
        (plan.compute(leaves.copied()).unwrap(), reads)
    }

    proptest! {
        #[test]
        fn proofs_are_those_of_all_leaves(
            log in 0_u32..4,
            size in 1_u64..200,
            first in any::<prop::sample::Index>(),
            known in any::<prop::sample::Index>(),
        ) {
            let block = 1 << log;
            let trail = leaves(size);
            let mut subtrees = Subtrees::with_block(block);
            let known = known.index(trail.len() + 1);
            subtrees.extend(trail[..known].iter().copied());
            prop_assert_eq!(subtrees.size(), u64::try_from(known).unwrap());
            let all_known = subtrees.complete() == size / block;
            let few = |reads: &[Range<u64>]| {
                let read: u64 = reads.iter().map(|range| range.end - range.start).sum();
                !all_known || reads.len() <= 3 && read < 2 * block
            };

            let (roots, reads) = compute(subtrees.root(size), &trail);
            prop_assert!(few(&reads));
            prop_assert_eq!(&roots, &[root(trail.iter().copied())]);

            let index = u64::try_from(first.index(trail.len())).unwrap();
            let (proof, reads) = compute(subtrees.inclusion(index, size).unwrap(), &trail);
            prop_assert!(few(&reads) && reads.iter().all(|range| !range.contains(&index)));
            prop_assert_eq!(&Some(proof.clone()), &inclusion_proof(index, size, trail.clone()));
            let leaf = trail[first.index(trail.len())];
            prop_assert!(verify_inclusion(index, size, leaf, &proof, roots[0]));

            let old = index + 1;
            let (proof, reads) = compute(subtrees.consistency(old, size).unwrap(), &trail);
            prop_assert!(few(&reads), "{:?}", reads);
            prop_assert_eq!(&Some(proof.clone()), &consistency_proof(old, size, trail.clone()));
            let before = root(trail[..=first.index(trail.len())].iter().copied());
            prop_assert!(verify_consistency(old, before, size, roots[0], &proof));
        }
    }

    #[test]
    fn other_leaves_than_asked_for_make_no_proof() {
        let trail = leaves(9);
        let mut subtrees = Subtrees::with_block(4);
        subtrees.extend(trail.iter().copied());
        let plan = || subtrees.inclusion(1, 9).unwrap();
        assert_eq!(plan().reads(), [0..1, 2..4, 8..9]);
        assert!(plan().compute(leaves(4)).is_some());
        assert!(plan().compute(leaves(3)).is_none());
        assert!(plan().compute(leaves(5)).is_none());
        assert!(subtrees.inclusion(9, 9).is_none());
        assert!(subtrees.consistency(0, 9).is_none());
        assert!(subtrees.consistency(10, 9).is_none());
    }
}
