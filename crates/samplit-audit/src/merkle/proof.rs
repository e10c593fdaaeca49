//! Which subtrees a proof is made of, and which leaves are needed for their roots.

use std::ops::Range;

use super::{Frontier, Subtrees};
use crate::Hash;

/// Hashes to be computed: what is known of them already, and the leaves that are still to be read.
///
/// It holds no borrow of the [`Subtrees`] that made it, so leaves can be read without a lock.
#[derive(Clone, Debug)]
pub struct Plan {
    parts: Vec<Part>,
}

/// A range of leaves whose root is wanted.
#[derive(Clone, Debug)]
struct Part {
    /// Its beginning.
    known: Frontier,
    /// The leaves behind that.
    rest: Range<u64>,
}

impl Plan {
    pub(super) fn new(path: &[Range<u64>], subtrees: &Subtrees) -> Self {
        let part = |range: &Range<u64>| {
            let known = subtrees.frontier(range);
            let rest = range.start + known.size()..range.end;
            Part { known, rest }
        };
        Self {
            parts: path.iter().map(part).collect(),
        }
    }

    /// The leaves to be read, by index (sequence - 1): ascending ranges with gaps between them.
    #[must_use]
    pub fn reads(&self) -> Vec<Range<u64>> {
        let mut reads: Vec<Range<u64>> = Vec::new();
        for index in self.ascending() {
            let rest = &self.parts[index].rest;
            match reads.last_mut() {
                _ if rest.is_empty() => {}
                Some(last) if last.end == rest.start => last.end = rest.end,
                _ => reads.push(rest.clone()),
            }
        }
        reads
    }

    /// The planned hashes, in the order of the proof; of [`Subtrees::root`], the one root.
    ///
    /// `leaves` are those of [`reads`](Self::reads), all in one sequence. Nothing if they are fewer
    /// or more.
    pub fn compute(self, leaves: impl IntoIterator<Item = Hash>) -> Option<Vec<Hash>> {
        let mut leaves = leaves.into_iter();
        let order = self.ascending();
        let mut parts = self.parts;
        for index in order {
            let Part { known, rest } = &mut parts[index];
            for _ in rest {
                known.push(leaves.next()?);
            }
        }
        leaves
            .next()
            .is_none()
            .then(|| parts.iter().map(|part| part.known.root()).collect())
    }

    fn ascending(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|index| self.parts[*index].rest.start);
        order
    }

    /// Computes the hashes from all leaves of the tree, of which some are passed over.
    fn compute_from_all(self, leaves: impl IntoIterator<Item = Hash>) -> Option<Vec<Hash>> {
        let reads = self.reads();
        let wanted = (0..)
            .zip(leaves)
            .filter(|(index, _)| reads.iter().any(|range| range.contains(index)));
        self.compute(wanted.map(|(_, leaf)| leaf))
    }
}

/// The hashes by which leaf `index` shows that it is in the tree of the first `size` leaves.
///
/// One pass over the leaves, with memory for one path. Nothing unless `index < size` and there are
/// `size` leaves.
pub fn inclusion_proof(
    index: u64,
    size: u64,
    leaves: impl IntoIterator<Item = Hash>,
) -> Option<Vec<Hash>> {
    Subtrees::new()
        .inclusion(index, size)?
        .compute_from_all(leaves)
}

/// The hashes by which the tree of `old` leaves shows that it is a prefix of that of `new` leaves.
///
/// One pass over the leaves, with memory for one path. Nothing unless `1 <= old <= new` and there
/// are `new` leaves.
pub fn consistency_proof(
    old: u64,
    new: u64,
    leaves: impl IntoIterator<Item = Hash>,
) -> Option<Vec<Hash>> {
    Subtrees::new()
        .consistency(old, new)?
        .compute_from_all(leaves)
}

/// PATH of RFC 6962, section 2.1.1, as ranges of leaves.
pub(super) fn inclusion_path(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let mut path = Vec::new();
    let mut tree = 0..size;
    while tree.end - tree.start > 1 {
        let (left, right) = halves(&tree);
        let (inside, outside) = if index < left.end {
            (left, right)
        } else {
            (right, left)
        };
        path.push(outside);
        tree = inside;
    }
    path.reverse();
    Some(path)
}

/// PROOF of RFC 6962, section 2.1.2, as ranges of leaves.
pub(super) fn consistency_path(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old == 0 || old > new {
        return None;
    }
    let mut path = Vec::new();
    let mut tree = 0..new;
    while tree.end != old {
        let (left, right) = halves(&tree);
        let (inside, outside) = if old <= left.end {
            (left, right)
        } else {
            (right, left)
        };
        path.push(outside);
        tree = inside;
    }
    // The verifier holds the root of the whole old tree; any other subtree must be shown to it.
    if tree.start != 0 {
        path.push(tree);
    }
    path.reverse();
    Some(path)
}

/// Splits a tree at the largest power of two below its size.
fn halves(tree: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let size = tree.end - tree.start;
    let middle = tree.start + (size.next_power_of_two() >> 1);
    (tree.start..middle, middle..tree.end)
}
