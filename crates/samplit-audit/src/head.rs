//! The state of a trail that appending needs, as the table `audit_heads` keeps it.

use uuid::Uuid;

use crate::{
    DecisionType, Entry, Hash, Payload,
    entry::{entry_hash, genesis_hash},
    merkle::Frontier,
};

/// The head of one experiment's trail: where the next entry goes.
///
/// Whoever appends holds the row lock of the head; this type does the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    experiment_id: Uuid,
    hash: Hash,
    last_us: i64,
    frontier: Frontier,
}

/// The stored head cannot be one that this crate wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frontier does not fit the size of the trail")]
pub struct BadHead;

impl Head {
    /// The head of an empty trail.
    #[must_use]
    pub fn new(experiment_id: Uuid) -> Self {
        let hash = genesis_hash(experiment_id);
        Self {
            experiment_id,
            hash,
            last_us: i64::MIN,
            frontier: Frontier::new(),
        }
    }

    /// The head as it was stored.
    ///
    /// # Errors
    /// The frontier does not fit the size.
    pub fn from_parts(
        experiment_id: Uuid,
        size: u64,
        hash: Hash,
        last_us: i64,
        frontier: &[u8],
    ) -> Result<Self, BadHead> {
        let frontier = Frontier::from_bytes(size, frontier).ok_or(BadHead)?;
        Ok(Self {
            experiment_id,
            hash,
            last_us,
            frontier,
        })
    }

    /// Appends a decision at `now_us`, or at the time of the entry before if that is later.
    pub fn append(
        &mut self,
        id: Uuid,
        decision_type: DecisionType,
        now_us: i64,
        payload: Payload,
    ) -> Entry {
        let sequence_number = self.size() + 1;
        let created_at_us = now_us.max(self.last_us);
        let current_hash = entry_hash(
            self.experiment_id,
            sequence_number,
            self.hash,
            id,
            decision_type,
            created_at_us,
            payload.hash(),
        );
        let entry = Entry {
            experiment_id: self.experiment_id,
            sequence_number,
            previous_hash: self.hash,
            id,
            decision_type,
            created_at_us,
            payload,
            current_hash,
        };
        self.hash = current_hash;
        self.last_us = created_at_us;
        self.frontier.push(current_hash);
        entry
    }

    /// The experiment.
    #[must_use]
    pub fn experiment_id(&self) -> Uuid {
        self.experiment_id
    }

    /// Number of entries; the sequence number of the last one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Hash of the last entry, or [`genesis_hash`] of an empty trail.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Time of the last entry, in microseconds since the epoch; `i64::MIN` of an empty trail.
    #[must_use]
    pub fn last_us(&self) -> i64 {
        self.last_us
    }

    /// The Merkle frontier, as the column `frontier` keeps it.
    #[must_use]
    pub fn frontier_bytes(&self) -> Vec<u8> {
        self.frontier.to_bytes()
    }

    /// The Merkle root over all entries.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}
