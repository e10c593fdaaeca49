//! Writing a receipt.

use uuid::Uuid;

use super::{ProvedEntry, VERSION};
use crate::{
    envelope,
    payload::ALGORITHM,
    sj1::write::{array, hex, string, uint, uuid},
};

/// The receipt of one visitor: their entries in ascending order, and the note of the checkpoint in
/// whose tree the proofs hold.
#[must_use]
pub fn write(experiment_id: Uuid, entries: &[ProvedEntry<'_>], note: &str) -> Vec<u8> {
    let mut out = b"{\"alg\":".to_vec();
    string(&mut out, ALGORITHM);
    out.extend_from_slice(b",\"entries\":");
    array(&mut out, entries, |out, _, proved| {
        envelope::write(out, &proved.entry, b"", |out| {
            out.extend_from_slice(b"\"proof\":");
            array(out, &proved.proof, |out, _, hash| hex(out, &hash.0));
            out.push(b',');
        });
    });
    out.extend_from_slice(b",\"experiment_id\":");
    uuid(&mut out, experiment_id);
    out.extend_from_slice(b",\"kind\":\"receipt\",\"note\":");
    string(&mut out, note);
    out.extend_from_slice(b",\"version\":");
    uint(&mut out, VERSION);
    out.extend_from_slice(b"}\n");
    out
}
