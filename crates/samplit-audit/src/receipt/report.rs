//! What a receipt shows.

use uuid::Uuid;

use crate::Hash;

/// A sound receipt, in words and numbers.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ReceiptReport {
    /// The experiment.
    pub experiment_id: Uuid,
    /// The trail, as the signed note names it.
    pub origin: String,
    /// Number of entries under the checkpoint.
    pub size: u64,
    /// Merkle root over them.
    pub root: Hash,
    /// The pseudonym, in 64 hexadecimal digits; nothing if every payload was redacted.
    pub visitor: Option<String>,
    /// What the visitor was given.
    pub assignments: Vec<ReceiptAssignment>,
    /// What the visitor did.
    pub conversions: Vec<ReceiptConversion>,
    /// Entries whose payload was redacted.
    pub redactions: u64,
    /// Pinned keys that have signed the checkpoint.
    pub signatures: usize,
}

/// An arm that the visitor was given.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ReceiptAssignment {
    /// The entry.
    pub sequence: u64,
    /// When, in microseconds since the epoch.
    pub created_at_us: i64,
    /// The element, where each draws for itself.
    pub element: Option<u16>,
    /// The arm, by index.
    pub arm: u16,
}

/// A conversion of the visitor.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ReceiptConversion {
    /// The entry.
    pub sequence: u64,
    /// When, in microseconds since the epoch.
    pub created_at_us: i64,
    /// The goal, by name.
    pub goal: String,
    /// Its value.
    pub value: f64,
}
