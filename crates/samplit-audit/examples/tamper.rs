//! Builds a small trail, checks it, alters one row the way an administrator of the database could,
//! and shows where the check fails.

use samplit_audit::{
    DrawKey, EntryRef, Head, PidKey, TypedPayload, choose, genesis_hash, payload::Assignment, scale,
};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let experiment = Uuid::from_u128(0x5a);
    let (pid_key, draw_key) = (PidKey::from_bytes([1; 32]), DrawKey::from_bytes([2; 32]));
    let mut head = Head::new(experiment);
    let mut entries = Vec::new();
    for number in 0..5_u16 {
        let visitor = pid_key.pseudonym(experiment, &format!("visitor-{number}"));
        let u64 = draw_key.draw(experiment, visitor, 0);
        let arm = choose(&[500_000_000, 500_000_000], scale(u64)).ok_or("weights")?;
        let payload = Assignment {
            visitor,
            element: None,
            u64,
            r_ppb: scale(u64),
            arm: u16::try_from(arm)?,
            snapshot_seq: 1,
        }
        .to_payload()?;
        let id = Uuid::from_u128(u128::from(number));
        entries.push(head.append(id, Assignment::DECISION_TYPE, i64::from(number), payload));
    }
    say(&format!("{} entries, root {}", head.size(), head.root()));
    say(&format!(
        "as written: {:?}",
        first_wrong(experiment, entries.iter().map(|e| e.as_ref()))
    ));

    let flattered = entries[2]
        .payload
        .as_str()
        .replacen("\"arm\":1", "\"arm\":0", 1);
    let flattered = if flattered == entries[2].payload.as_str() {
        flattered.replacen("\"arm\":0", "\"arm\":1", 1)
    } else {
        flattered
    };
    let altered = entries.iter().map(|entry| match entry.sequence_number {
        3 => EntryRef {
            payload: flattered.as_bytes(),
            ..entry.as_ref()
        },
        _ => entry.as_ref(),
    });
    say(&format!(
        "row 3 altered: first wrong entry {:?}",
        first_wrong(experiment, altered)
    ));
    Ok(())
}

/// The first entry whose hash or whose link to the entry before it is wrong.
fn first_wrong<'a>(experiment: Uuid, entries: impl Iterator<Item = EntryRef<'a>>) -> Option<u64> {
    let mut previous = genesis_hash(experiment);
    for entry in entries {
        if entry.previous_hash != previous || entry.compute_hash() != entry.current_hash {
            return Some(entry.sequence_number);
        }
        previous = entry.current_hash;
    }
    None
}

#[expect(clippy::print_stdout, reason = "an example talks to its reader")]
fn say(line: &str) {
    println!("{line}");
}
