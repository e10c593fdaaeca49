//! What a trail says about one visitor, verified without the trail: their entries, each with a proof
//! that it is in the tree of a signed checkpoint.
//!
//! One JSON object in the canonical form of [`sj1`](crate::sj1), followed by one LF (broken here,
//! for the eye only):
//!
//! ```text
//! {"alg":"samplit-audit-v1","entries":[{"created_at_us":<int>,"current_hash":"<hash>",
//!  "decision_data":{...},"decision_type":"<word>","id":"<uuid>","previous_hash":"<hash>",
//!  "proof":["<hash>",...],"sequence_number":<int>},...],"experiment_id":"<uuid>",
//!  "kind":"receipt","note":"<signed note>","version":1}
//! ```
//!
//! * `entries`: at least one, in ascending order, all of them assignments or conversions of one
//!   visitor; the payload of one that was redacted is its stub. A conversion names an assignment
//!   of the receipt, or 0 where there is none because the visitor is older than the trail.
//! * `proof`: the inclusion proof ([`merkle`](crate::merkle)) of the entry in the tree of the note.
//!
//! A receipt shows what is in the trail. It cannot show that nothing else is: whether the decisions
//! follow the rule, and whether the visitor has more entries, is seen in the whole trail only.

mod read;
mod report;
mod write;

pub use read::{ReceiptOptions, verify};
pub use report::{ReceiptAssignment, ReceiptConversion, ReceiptReport};
pub use write::write;

use crate::{EntryRef, Hash};

/// The version of the layout.
pub const VERSION: u64 = 1;

/// An entry and its inclusion proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedEntry<'a> {
    /// The entry.
    pub entry: EntryRef<'a>,
    /// The hashes that lead from the entry to the root of the checkpoint.
    pub proof: Vec<Hash>,
}
