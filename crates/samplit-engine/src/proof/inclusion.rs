//! Inclusion and consistency proofs on demand.
//!
//! Every proof is checked against the root before it is handed out. One that does not hold shows
//! that the tree in memory is not that of the trail: it is built anew once, and if that does not
//! help, the trail is not what was signed.

use samplit_audit::Hash;
use samplit_audit::merkle::{Frontier, verify_consistency, verify_inclusion};
use samplit_domain::{ExperimentId, Violations};
use samplit_store::checkpoints;
use samplit_store::heads::HeadRow;
use serde::Serialize;

use crate::trail::{signed, unsigned};
use crate::{Engine, Error, Principal};

/// That an entry is among the first `size` of its trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InclusionProof {
    /// The entry.
    pub sequence_number: u64,
    /// How many entries the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The `current_hash` of the entry.
    pub leaf: Hash,
    /// The hashes that lead from the one to the other.
    pub proof: Vec<Hash>,
}

/// That the first entries of a trail are still those that they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsistencyProof {
    /// How many entries the smaller tree has.
    pub first: u64,
    /// Its root.
    pub first_root: Hash,
    /// How many entries the larger tree has.
    pub second: u64,
    /// Its root.
    pub second_root: Hash,
    /// The hashes that show that the one is the beginning of the other.
    pub proof: Vec<Hash>,
}

impl Engine {
    /// Proves that entry `sequence` is in the tree of the first `size` entries; without `size`, in
    /// that of the latest checkpoint if it reaches as far, else of all entries.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for numbers outside the trail.
    pub async fn inclusion_proof(
        &self,
        who: &Principal,
        id: ExperimentId,
        sequence: u64,
        size: Option<u64>,
    ) -> Result<InclusionProof, Error> {
        let head = self.provable_head(who, id).await?;
        let size = self.proved_size(&head, sequence, size).await?;
        check_range(&head, ("/sequence", sequence), ("/size", size))?;
        self.include(&head, sequence, size).await
    }

    /// Proves that the tree of the first `first` entries is the beginning of that of the first
    /// `second`; without `second`, of the latest checkpoint if it reaches as far, else of all.
    ///
    /// # Errors
    /// As [`inclusion_proof`](Self::inclusion_proof).
    pub async fn consistency_proof(
        &self,
        who: &Principal,
        id: ExperimentId,
        first: u64,
        second: Option<u64>,
    ) -> Result<ConsistencyProof, Error> {
        let head = self.provable_head(who, id).await?;
        let second = self.proved_size(&head, first, second).await?;
        check_range(&head, ("/first", first), ("/second", second))?;
        for _ in 0..2 {
            let first_root = self.known_root(&head, first).await?;
            let second_root = self.known_root(&head, second).await?;
            let plan = self.planned(id, second, |tree| tree.consistency(first, second));
            if let (Some(first_root), Some(second_root), Some(proof)) =
                (first_root, second_root, plan.await?)
                && verify_consistency(first, first_root, second, second_root, &proof)
            {
                return Ok(ConsistencyProof {
                    first,
                    first_root,
                    second,
                    second_root,
                    proof,
                });
            }
            self.core.forget_tree(id);
        }
        Err(not_what_was_signed(id))
    }

    /// As [`inclusion_proof`](Self::inclusion_proof), of numbers that are inside the trail.
    pub(super) async fn include(
        &self,
        head: &HeadRow,
        sequence: u64,
        size: u64,
    ) -> Result<InclusionProof, Error> {
        let id = head.experiment_id;
        for _ in 0..2 {
            let leaf = self.leaves(id, sequence - 1, sequence).await?;
            let root = self.known_root(head, size).await?;
            let plan = self.planned(id, size, |tree| tree.inclusion(sequence - 1, size));
            if let (Some(&[leaf]), Some(root), Some(proof)) = (leaf.as_deref(), root, plan.await?)
                && verify_inclusion(sequence - 1, size, leaf, &proof, root)
            {
                return Ok(InclusionProof {
                    sequence_number: sequence,
                    size,
                    root,
                    leaf,
                    proof,
                });
            }
            self.core.forget_tree(id);
        }
        Err(not_what_was_signed(id))
    }

    /// The size that was asked for, or that of the latest checkpoint, or of the trail.
    async fn proved_size(
        &self,
        head: &HeadRow,
        least: u64,
        asked: Option<u64>,
    ) -> Result<u64, Error> {
        if let Some(size) = asked {
            return Ok(size);
        }
        let latest = self.latest_checkpoint(head.experiment_id).await?;
        let size = unsigned(head.size)?;
        let signed = latest.map(|latest| latest.size);
        Ok(signed
            .filter(|signed| (least..=size).contains(signed))
            .unwrap_or(size))
    }

    /// The root of the first `size` entries: what was signed of them, or what the head says, or what
    /// they lead to.
    async fn known_root(&self, head: &HeadRow, size: u64) -> Result<Option<Hash>, Error> {
        let (id, incarnation) = (head.experiment_id, head.incarnation);
        let stored = self
            .core
            .database
            .run(|session| Box::pin(checkpoints::read(session, id, incarnation, signed(size))));
        if let Some(row) = stored.await? {
            return row.root.parse().map(Some).map_err(Error::internal);
        }
        if i64::try_from(size) == Ok(head.size) {
            let frontier = Frontier::from_bytes(size, &head.frontier);
            return Ok(frontier.map(|frontier| frontier.root()));
        }
        self.root(id, size).await
    }
}

/// Two numbers of which the first is at most the second, both inside the trail.
fn check_range(head: &HeadRow, low: (&str, u64), high: (&str, u64)) -> Result<(), Error> {
    let size = unsigned(head.size)?;
    let mut violations = Violations::default();
    if !(1..=size).contains(&high.1) {
        violations.add(
            high.0,
            "out_of_range",
            format!("must be between 1 and {size}"),
        );
    }
    if !(1..=high.1).contains(&low.1) {
        let what = format!("must be between 1 and {}", high.1);
        violations.add(low.0, "out_of_range", what);
    }
    Ok(violations.into_result(())?)
}

fn not_what_was_signed(id: ExperimentId) -> Error {
    let what = format!("the entries of {id} do not lead to its root");
    samplit_store::Error::inconsistent("algorithm_audit_trail", "current_hash", what).into()
}
