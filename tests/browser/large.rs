//! A bundle of 200,000 entries: assignments as the genesis of the golden trail demands, and every
//! tenth visitor converts.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use samplit_audit::{
    DrawKey, Entry, Head, Payload, PerElement, PidKey, TypedPayload, bundle, choose,
    payload::{Assignment, Conversion, Genesis},
    scale,
};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::bundles::COMPLETE;

pub(crate) const ENTRIES: u64 = 200_000;
/// The same, as the page writes it.
pub(crate) const WRITTEN: &str = "200,000";
/// The draw key of the golden trails.
pub(crate) const DRAW_KEY: [u8; 32] = [7; 32];

/// Writes the bundle, which is not sealed.
pub(crate) fn write(path: &Path) -> io::Result<()> {
    let (draw_key, pid_key) = (DrawKey::from_bytes(DRAW_KEY), PidKey::from_bytes([1; 32]));
    let genesis = COMPLETE.lines().nth(2).expect("the third line");
    let genesis: Json = serde_json::from_str(genesis).expect("a line of JSON");
    let genesis = Payload::from_json(&genesis["decision_data"]).expect("a payload");
    let typed = Genesis::parse(genesis.bytes()).expect("a genesis");
    let PerElement::One(element) = &typed.elements else {
        unreachable!("the golden trail has one element");
    };
    let header: Json = serde_json::from_str(COMPLETE.lines().next().expect("a line"))?;
    let id: Uuid = header["experiment_id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("a UUID");

    let mut head = Head::new(id);
    let mut file = BufWriter::new(File::create(path)?);
    let mut line = Vec::new();
    bundle::header(&mut line, id);
    let mut append = |head: &mut Head, line: &mut Vec<u8>, of, payload| -> io::Result<()> {
        let next = head.size() + 1;
        let now_us = i64::try_from(next).expect("few entries");
        let entry: Entry = head.append(Uuid::from_u128(next.into()), of, now_us, payload);
        bundle::entry(line, &entry.as_ref());
        file.write_all(line)?;
        line.clear();
        Ok(())
    };
    append(&mut head, &mut line, Genesis::DECISION_TYPE, genesis)?;
    let mut visitors = 0_u64;
    while head.size() < ENTRIES {
        visitors += 1;
        let visitor = pid_key.pseudonym(id, &visitors.to_string());
        let u64 = draw_key.draw(id, visitor, 0);
        let arm = choose(&element.weights_ppb, scale(u64)).expect("weights sum to one");
        let arm = u16::try_from(arm).expect("few arms");
        let assignment = Assignment {
            visitor,
            element: None,
            u64,
            r_ppb: scale(u64),
            arm,
            snapshot_seq: 1,
        };
        let payload = assignment.to_payload().expect("a payload");
        append(&mut head, &mut line, Assignment::DECISION_TYPE, payload)?;
        if visitors.is_multiple_of(10) && head.size() < ENTRIES {
            let conversion = Conversion {
                visitor,
                assignment_seq: head.size(),
                arms: PerElement::One(arm),
                goal: "conversion".into(),
                value: 1.0,
            };
            let payload = conversion.to_payload().expect("a payload");
            append(&mut head, &mut line, Conversion::DECISION_TYPE, payload)?;
        }
    }
    bundle::end(&mut line, ENTRIES);
    file.write_all(&line)?;
    file.flush()
}
