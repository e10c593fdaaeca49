#![doc = include_str!("../README.md")]

pub mod bundle;
pub mod checkpoint;
mod draw;
mod entry;
mod envelope;
mod hash;
mod head;
mod hex;
mod key_ring;
pub mod merkle;
pub mod payload;
pub mod receipt;
pub mod sj1;
pub mod verify;

pub use checkpoint::{Checkpoint, NoteError, SignedCheckpoint, Signer, VerifyingKey};
pub use draw::{DrawKey, PidKey, Pseudonym, choose, scale};
pub use entry::{DecisionType, Entry, EntryRef, UnknownDecisionType, genesis_hash};
pub use hash::{Hash, NotHex};
pub use head::{BadHead, Head};
pub use key_ring::{KeyRing, KeyRingError, Place, SealError};
pub use payload::{Payload, PerElement, TypedPayload};
pub use verify::{AllocationRule, ArmCount, Failure, FailureKind, Options, Report, Verifier};
