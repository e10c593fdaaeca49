//! One entry of the trail and the hash that ties it to the entry before it.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::{Hash, Payload, hex, payload, sj1::write};

/// What kind of decision an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecisionType {
    /// Always sequence 1: what is tested, and the commitment to the draw key.
    Genesis,
    /// A visitor was given an arm.
    Assignment,
    /// A visitor converted.
    Conversion,
    /// New weights, with the counts they came from.
    Reallocation,
    /// The end: final counts, and the draw key revealed.
    Seal,
    /// The payload of an earlier entry was replaced by its hash.
    Redaction,
    /// The database was restored from a backup.
    Restore,
}

impl DecisionType {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Genesis,
        Self::Assignment,
        Self::Conversion,
        Self::Reallocation,
        Self::Seal,
        Self::Redaction,
        Self::Restore,
    ];

    /// The word in the column `decision_type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Assignment => "assignment",
            Self::Conversion => "conversion",
            Self::Reallocation => "reallocation",
            Self::Seal => "seal",
            Self::Redaction => "redaction",
            Self::Restore => "restore",
        }
    }
}

impl fmt::Display for DecisionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is no decision type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decision type")]
pub struct UnknownDecisionType;

impl FromStr for DecisionType {
    type Err = UnknownDecisionType;

    fn from_str(word: &str) -> Result<Self, UnknownDecisionType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or(UnknownDecisionType)
    }
}

/// An entry as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The experiment.
    pub experiment_id: Uuid,
    /// Position in the trail, from 1, without gaps.
    pub sequence_number: u64,
    /// Hash of the entry before this one; of sequence 1, [`genesis_hash`].
    pub previous_hash: Hash,
    /// Id of the row.
    pub id: Uuid,
    /// What is recorded.
    pub decision_type: DecisionType,
    /// Microseconds since the epoch, never less than in the entry before.
    pub created_at_us: i64,
    /// The decision.
    pub payload: Payload,
    /// Hash of this entry.
    pub current_hash: Hash,
}

impl Entry {
    /// A view of the entry.
    #[must_use]
    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef {
            experiment_id: self.experiment_id,
            sequence_number: self.sequence_number,
            previous_hash: self.previous_hash,
            id: self.id,
            decision_type: self.decision_type,
            created_at_us: self.created_at_us,
            payload: self.payload.bytes(),
            current_hash: self.current_hash,
        }
    }
}

/// An entry whose payload is borrowed, as rows and bundle lines give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The experiment.
    pub experiment_id: Uuid,
    /// Position in the trail, from 1, without gaps.
    pub sequence_number: u64,
    /// Hash of the entry before this one; of sequence 1, [`genesis_hash`].
    pub previous_hash: Hash,
    /// Id of the row.
    pub id: Uuid,
    /// What is recorded.
    pub decision_type: DecisionType,
    /// Microseconds since the epoch, never less than in the entry before.
    pub created_at_us: i64,
    /// Canonical bytes of the decision.
    pub payload: &'a [u8],
    /// Hash of this entry, as recorded.
    pub current_hash: Hash,
}

impl EntryRef<'_> {
    /// The hash that this entry must have.
    #[must_use]
    pub fn compute_hash(&self) -> Hash {
        entry_hash(
            self.experiment_id,
            self.sequence_number,
            self.previous_hash,
            self.id,
            self.decision_type,
            self.created_at_us,
            payload::payload_hash(self.payload),
        )
    }
}

/// What stands in the place of the previous hash in the first entry of a trail.
#[must_use]
pub fn genesis_hash(experiment_id: Uuid) -> Hash {
    let mut text = Preimage::new();
    text.push(b"samplit-audit/genesis/v1\n");
    text.line(
        experiment_id
            .hyphenated()
            .encode_lower(&mut [0; 36])
            .as_bytes(),
    );
    Hash::of(text.bytes())
}

/// The hash of an entry over its preimage, built on the stack.
pub(crate) fn entry_hash(
    experiment_id: Uuid,
    sequence_number: u64,
    previous_hash: Hash,
    id: Uuid,
    decision_type: DecisionType,
    created_at_us: i64,
    payload_hash: Hash,
) -> Hash {
    let mut text = Preimage::new();
    text.push(b"samplit-audit/entry/v1\n");
    text.line(
        experiment_id
            .hyphenated()
            .encode_lower(&mut [0; 36])
            .as_bytes(),
    );
    text.line(write::decimal(&mut [0; 20], sequence_number));
    text.hex_line(previous_hash);
    text.line(id.hyphenated().encode_lower(&mut [0; 36]).as_bytes());
    text.line(decision_type.as_str().as_bytes());
    if created_at_us < 0 {
        text.push(b"-");
    }
    text.line(write::decimal(&mut [0; 20], created_at_us.unsigned_abs()));
    text.hex_line(payload_hash);
    Hash::of(text.bytes())
}

/// A text that is hashed: at most 23 + 2 * 37 + 2 * 65 + 2 * 22 + 13 bytes.
struct Preimage {
    bytes: [u8; 288],
    len: usize,
}

impl Preimage {
    fn new() -> Self {
        Self {
            bytes: [0; 288],
            len: 0,
        }
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn line(&mut self, part: &[u8]) {
        self.push(part);
        self.push(b"\n");
    }

    fn hex_line(&mut self, hash: Hash) {
        for byte in hash.0 {
            self.push(&hex::pair(byte));
        }
        self.push(b"\n");
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
