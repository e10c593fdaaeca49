//! Writing a bundle, one line at a time into a buffer.

use uuid::Uuid;

use super::{ENTRY, VERSION};
use crate::{
    DrawKey, EntryRef, envelope, genesis_hash,
    payload::ALGORITHM,
    sj1::write::{hex, string, uint, uuid},
};

/// Appends the first line.
pub fn header(out: &mut Vec<u8>, experiment_id: Uuid) {
    out.extend_from_slice(b"{\"alg\":");
    string(out, ALGORITHM);
    out.extend_from_slice(b",\"experiment_id\":");
    uuid(out, experiment_id);
    out.extend_from_slice(b",\"genesis\":");
    hex(out, &genesis_hash(experiment_id).0);
    out.extend_from_slice(b",\"kind\":\"bundle\",\"version\":");
    uint(out, VERSION);
    out.extend_from_slice(b"}\n");
}

/// Appends the second line of a sealed trail.
pub fn reveal(out: &mut Vec<u8>, draw_key: &DrawKey) {
    out.extend_from_slice(b"{\"draw_key_hex\":");
    hex(out, draw_key.expose());
    out.extend_from_slice(b",\"kind\":\"reveal\"}\n");
}

/// Appends the line of an entry.
pub fn entry(out: &mut Vec<u8>, entry: &EntryRef<'_>) {
    envelope::write(out, entry, ENTRY, |_| {});
    out.push(b'\n');
}

/// Appends the line of a checkpoint, right behind the entry with the number of its size.
pub fn checkpoint(out: &mut Vec<u8>, note: &str) {
    noted(out, "checkpoint", note);
}

/// Appends the line of a checkpoint that the next entry, a `restore`, gives up.
pub fn abandoned(out: &mut Vec<u8>, note: &str) {
    noted(out, "abandoned", note);
}

fn noted(out: &mut Vec<u8>, kind: &str, note: &str) {
    out.extend_from_slice(b"{\"kind\":");
    string(out, kind);
    out.extend_from_slice(b",\"note\":");
    string(out, note);
    out.extend_from_slice(b"}\n");
}

/// Appends the last line; `count` is the number of entries.
pub fn end(out: &mut Vec<u8>, count: u64) {
    out.extend_from_slice(b"{\"count\":");
    uint(out, count);
    out.extend_from_slice(b",\"kind\":\"end\"}\n");
}
