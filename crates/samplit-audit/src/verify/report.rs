//! What a verification found.

use std::fmt;

use uuid::Uuid;

use crate::Hash;

/// What kind of thing is wrong. Each kind has its exit code; a sound trail has 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Entries were altered, moved, inserted or removed. Exit code 1.
    Integrity,
    /// A checkpoint is not signed as it should be. Exit code 2.
    Signature,
    /// A decision did not follow the announced rule. Exit code 3.
    Replay,
    /// The text is not of the format. Exit code 4.
    Malformed,
    /// The text could not be read to its end, which says nothing about the trail. Exit code 74.
    Unread,
}

impl FailureKind {
    /// The exit code of a program that verifies.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Integrity => 1,
            Self::Signature => 2,
            Self::Replay => 3,
            Self::Malformed => 4,
            Self::Unread => 74,
        }
    }
}

/// The first thing that is wrong with a trail.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// What kind of thing.
    pub kind: FailureKind,
    /// The entry, where it is about one.
    pub sequence: Option<u64>,
    /// What is wrong, for a person.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            Some(sequence) => write!(f, "entry {sequence}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Failure {}

/// A sound trail, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Report {
    /// The experiment.
    pub experiment_id: Uuid,
    /// Number of entries.
    pub entries: u64,
    /// Hash of the last entry.
    pub head: Hash,
    /// Merkle root over all entries.
    pub root: Hash,
    /// Time of the last entry, in microseconds since the epoch.
    pub last_us: i64,
    /// Whether the trail is sealed.
    pub sealed: bool,
    /// 1, and one more for every restore.
    pub incarnation: u32,
    /// Payloads that were redacted.
    pub redactions: u64,
    /// Checkpoints whose root was compared.
    pub checkpoints: u64,
    /// Checkpoints that a restore gave up.
    pub abandoned: u64,
    /// Signatures that held under pinned keys.
    pub signatures: u64,
    /// Entries up to the last checkpoint signed by a pinned key.
    pub signed_size: u64,
    /// What was replayed, if it was asked for.
    pub replay: Option<ReplayReport>,
}

/// Decisions that were replayed.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayReport {
    /// Assignments whose arm was recomputed from the draw and the weights.
    pub assignments: u64,
    /// Of those, the ones whose draw was recomputed from the draw key.
    pub draws: u64,
    /// Conversions that belong to an assignment.
    pub conversions: u64,
    /// Reallocations whose counts were recounted.
    pub reallocations: u64,
    /// Of those, the ones whose weights were recomputed from the counts.
    pub weights: u64,
    /// Counts by element and arm, those carried over included; redacted entries are not in them.
    pub totals: Vec<Vec<Total>>,
}

/// The counts of one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Total {
    /// Assignments.
    pub n: u64,
    /// Conversions.
    pub s: u64,
}
