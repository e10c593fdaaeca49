//! An entry as a JSON object in canonical form, as a bundle line and a receipt carry it.
//!
//! ```text
//! {"created_at_us":<int>,"current_hash":"<hash>","decision_data":{...},"decision_type":"<word>",
//!  "id":"<uuid>",<kind>"previous_hash":"<hash>",<proof>"sequence_number":<int>}
//! ```
//! `<kind>` stands in a bundle only, `<proof>` in a receipt only.

use uuid::Uuid;

use crate::{
    EntryRef, Hash,
    sj1::{Error, cursor::Cursor, write},
};

/// What every entry begins with.
pub(crate) const FIRST_KEY: &[u8] = b"{\"created_at_us\":";

/// Appends an entry. `kind` and `proof` are whole members, each with the comma behind it.
pub(crate) fn write(
    out: &mut Vec<u8>,
    entry: &EntryRef<'_>,
    kind: &[u8],
    proof: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(FIRST_KEY);
    write::int(out, entry.created_at_us);
    out.extend_from_slice(b",\"current_hash\":");
    write::hex(out, &entry.current_hash.0);
    out.extend_from_slice(b",\"decision_data\":");
    out.extend_from_slice(entry.payload);
    out.extend_from_slice(b",\"decision_type\":");
    write::string(out, entry.decision_type.as_str());
    out.extend_from_slice(b",\"id\":");
    write::uuid(out, entry.id);
    out.push(b',');
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\"previous_hash\":");
    write::hex(out, &entry.previous_hash.0);
    out.push(b',');
    proof(out);
    out.extend_from_slice(b"\"sequence_number\":");
    write::uint(out, entry.sequence_number);
    out.push(b'}');
}

/// Reads what [`write`] wrote, from behind [`FIRST_KEY`] on.
pub(crate) fn read<'a, T>(
    cursor: &mut Cursor<'a>,
    experiment_id: Uuid,
    kind: &[u8],
    proof: impl FnOnce(&mut Cursor<'a>) -> Result<T, Error>,
) -> Result<(EntryRef<'a>, T), Error> {
    let created_at_us = cursor.int()?;
    cursor.expect(b",\"current_hash\":")?;
    let current_hash = Hash(cursor.hex()?);
    cursor.expect(b",\"decision_data\":")?;
    let payload = cursor.payload()?;
    cursor.expect(b",\"decision_type\":")?;
    let word = cursor.string()?;
    let Ok(decision_type) = word.parse() else {
        return cursor.fail("not a decision type");
    };
    cursor.expect(b",\"id\":")?;
    let id = cursor.uuid()?;
    cursor.expect(b",")?;
    cursor.expect(kind)?;
    cursor.expect(b"\"previous_hash\":")?;
    let previous_hash = Hash(cursor.hex()?);
    cursor.expect(b",")?;
    let proof = proof(cursor)?;
    cursor.expect(b"\"sequence_number\":")?;
    let sequence_number = cursor.number()?;
    cursor.expect(b"}")?;
    let entry = EntryRef {
        experiment_id,
        sequence_number,
        previous_hash,
        id,
        decision_type,
        created_at_us,
        payload,
        current_hash,
    };
    Ok((entry, proof))
}
