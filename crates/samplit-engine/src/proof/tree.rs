//! The tree of a trail, as far as proofs need it: the roots of its complete blocks, kept in memory
//! and filled by whoever asks, so that a proof of a long trail reads little of it.

use std::sync::Arc;

use moka::sync::Cache;
use samplit_audit::Hash;
use samplit_audit::merkle::{BLOCK, Plan, Subtrees};
use samplit_domain::ExperimentId;
use tokio::sync::Mutex;

use crate::checkpoints::HASHES;
use crate::core::Core;
use crate::{Engine, Error};

/// The most memory that all trees take, in bytes: two billion entries.
const MAX_BYTES: u64 = 64 << 20;

/// What a tree takes at least.
const TREE_BYTES: u32 = 1_024;

type Tree = Arc<Mutex<Subtrees>>;

/// The trees of the trails that were asked about last.
#[derive(Debug)]
pub(crate) struct Trees(Cache<ExperimentId, (u64, Tree)>);

impl Default for Trees {
    fn default() -> Self {
        let weight = |_: &ExperimentId, (size, _): &(u64, Tree)| {
            let roots = u32::try_from(size / BLOCK * 32).unwrap_or(u32::MAX);
            roots.saturating_add(TREE_BYTES)
        };
        let cache = Cache::builder().max_capacity(MAX_BYTES).weigher(weight);
        Self(cache.build())
    }
}

impl Core {
    /// Forgets what is known of a tree.
    pub(crate) fn forget_tree(&self, id: ExperimentId) {
        self.trees.0.invalidate(&id);
    }
}

impl Engine {
    /// Computes hashes of the first `size` entries as `plan` says; `None` if entries are missing.
    ///
    /// `size` is at most that of the head.
    pub(super) async fn planned<P>(
        &self,
        id: ExperimentId,
        size: u64,
        plan: P,
    ) -> Result<Option<Vec<Hash>>, Error>
    where
        P: FnOnce(&Subtrees) -> Option<Plan>,
    {
        let trees = &self.core.trees.0;
        let (known, tree) = trees.get_with(id, || (0, Tree::default()));
        let mut subtrees = Arc::clone(&tree).lock_owned().await;
        // Complete blocks only: of the last one, the leaves are read.
        let complete = size / BLOCK * BLOCK;
        while subtrees.size() < complete {
            let after = subtrees.size();
            let upto = complete.min(after + HASHES);
            let Some(leaves) = self.leaves(id, after, upto).await? else {
                return Ok(None);
            };
            let extended = tokio::task::spawn_blocking(move || {
                subtrees.extend(leaves);
                subtrees
            });
            subtrees = extended.await.map_err(Error::internal)?;
        }
        if subtrees.size() > known {
            // Weighed anew.
            trees.insert(id, (subtrees.size(), tree));
        }
        let plan = plan(&subtrees);
        drop(subtrees);
        let Some(plan) = plan else { return Ok(None) };
        let mut leaves = Vec::new();
        for range in plan.reads() {
            match self.leaves(id, range.start, range.end).await? {
                Some(read) => leaves.extend(read),
                None => return Ok(None),
            }
        }
        Ok(plan.compute(leaves))
    }

    /// The Merkle root of the first `size` entries; `None` if some are missing.
    pub(crate) async fn root(&self, id: ExperimentId, size: u64) -> Result<Option<Hash>, Error> {
        let roots = self.planned(id, size, |tree| Some(tree.root(size))).await?;
        Ok(roots.and_then(|roots| roots.first().copied()))
    }
}
