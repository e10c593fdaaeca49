//! RFC 6962 Merkle trees over the hashes of entries: frontier, roots, proofs and their checks.
//!
//! Proofs are computed by a [`Plan`], from all leaves in one pass or from the roots of
//! [`Subtrees`] and a few leaves.
//!
//! Leaf `i` is the 32 bytes of `current_hash` of sequence `i + 1`. A leaf hashes as
//! SHA-256(0x00 || data), a node as SHA-256(0x01 || left || right).

mod proof;
mod subtrees;

use ring::digest;

pub use proof::{Plan, consistency_proof, inclusion_proof};
pub use subtrees::{BLOCK, Subtrees};

use crate::Hash;

fn leaf(data: Hash) -> Hash {
    let mut bytes = [0_u8; 33];
    bytes[1..].copy_from_slice(&data.0);
    Hash::of(&bytes)
}

fn node(left: Hash, right: Hash) -> Hash {
    let mut bytes = [1_u8; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash::of(&bytes)
}

/// The roots of the complete subtrees of a tree, largest first: all that appending needs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, data: Hash) {
        self.push_complete(1, leaf(data));
    }

    /// Appends a complete subtree of `leaves` leaves, a power of two that divides the size.
    fn push_complete(&mut self, leaves: u64, mut root: Hash) {
        for _ in 0..(self.size / leaves).trailing_ones() {
            let left = self.roots.pop().expect("one root per set bit of the size");
            root = node(left, root);
        }
        self.roots.push(root);
        self.size += leaves;
    }

    /// The root of the tree; of the empty tree, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        match roots.next() {
            None => Hash::of(b""),
            Some(last) => roots.fold(*last, |right, left| node(*left, right)),
        }
    }

    /// The roots one after another, 32 bytes each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.roots.iter().flat_map(|root| root.0).collect()
    }

    /// From what [`to_bytes`](Self::to_bytes) gave; nothing unless the length fits the size.
    #[must_use]
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (roots, rest) = bytes.as_chunks::<{ digest::SHA256_OUTPUT_LEN }>();
        let fits = rest.is_empty() && u32::try_from(roots.len()) == Ok(size.count_ones());
        fits.then(|| Self {
            size,
            roots: roots.iter().copied().map(Hash).collect(),
        })
    }
}

/// The root of a tree with these leaves.
pub fn root(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.push(leaf);
    }
    frontier.root()
}

/// Whether `proof` shows that the leaf `data` is number `index` of the tree of `size` leaves with
/// this root (RFC 9162, section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(index: u64, size: u64, data: Hash, proof: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = leaf(data);
    for step in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node(*step, hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(hash, *step);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `proof` shows that the tree of `old` leaves is a prefix of the tree of `new` leaves
/// (RFC 9162, section 2.1.4.2).
#[must_use]
pub fn verify_consistency(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    proof: &[Hash],
) -> bool {
    if old == 0 || old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let mut steps = proof.iter().copied();
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        steps.next()
    };
    let Some(first) = first else {
        return false;
    };
    let shift = (old - 1).trailing_ones();
    let (mut place, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_hash, mut new_hash) = (first, first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old_hash = node(step, old_hash);
            new_hash = node(step, new_hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node(new_hash, step);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == old_root && new_hash == new_root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(size: u64) -> impl Iterator<Item = Hash> {
        (0..size).map(|index| Hash::of(&index.to_be_bytes()))
    }

    /// The definition of RFC 6962, section 2.1, word for word.
    fn tree_hash(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(b""),
            [only] => leaf(*only),
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(tree_hash(left), tree_hash(right))
            }
        }
    }

    #[test]
    fn frontier_survives_storage_and_agrees_with_the_definition() {
        let mut frontier = Frontier::new();
        for size in 0..70 {
            let data: Vec<_> = leaves(size).collect();
            assert_eq!(frontier.root(), tree_hash(&data));
            assert_eq!(
                Frontier::from_bytes(size, &frontier.to_bytes()),
                Some(frontier.clone())
            );
            assert_eq!(
                Frontier::from_bytes(size + 1, &frontier.to_bytes()).is_some(),
                (size + 1).count_ones() == size.count_ones()
            );
            frontier.push(Hash::of(&size.to_be_bytes()));
        }
    }

    #[test]
    fn proofs_verify_and_altered_ones_do_not() {
        for size in 1..40 {
            let head = root(leaves(size));
            for index in 0..size {
                let proof = inclusion_proof(index, size, leaves(size)).unwrap();
                let data = Hash::of(&index.to_be_bytes());
                assert!(verify_inclusion(index, size, data, &proof, head));
                assert!(!verify_inclusion(index, size, head, &proof, head));
                assert!(!verify_inclusion(index + size, size, data, &proof, head));
                let mut longer = proof.clone();
                longer.push(head);
                assert!(!verify_inclusion(index, size, data, &longer, head));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_inclusion(index, size, data, shorter, head));
                }
            }
            for old in 1..=size {
                let before = root(leaves(old));
                let proof = consistency_proof(old, size, leaves(size)).unwrap();
                assert!(verify_consistency(old, before, size, head, &proof));
                assert!(!verify_consistency(old, Hash::of(b"x"), size, head, &proof));
                assert!(!verify_consistency(
                    old,
                    before,
                    size,
                    Hash::of(b"x"),
                    &proof
                ));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_consistency(old, before, size, head, shorter));
                }
            }
        }
        assert_eq!(inclusion_proof(3, 3, leaves(3)), None);
        assert_eq!(inclusion_proof(0, 4, leaves(3)), None);
        assert_eq!(consistency_proof(0, 3, leaves(3)), None);
        assert!(!verify_consistency(
            0,
            root(leaves(0)),
            3,
            root(leaves(3)),
            &[]
        ));
    }
}
