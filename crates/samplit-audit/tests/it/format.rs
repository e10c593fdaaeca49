//! The worked example of `docs/AUDIT_FORMAT.md` is what this crate computes.

use samplit_audit::{
    Checkpoint, DecisionType, Entry, PidKey, checkpoint, genesis_hash, merkle, payload::Assignment,
    scale,
};

use crate::support::{EXPERIMENT, complete, draw_key, signer};

const DOCUMENT: &str = include_str!("../../../../docs/AUDIT_FORMAT.md");

/// The lines of the example, by what they are called.
fn example() -> String {
    let world = complete::world();
    let [genesis, entry] = &world.entries[..2] else {
        panic!("two entries");
    };
    assert_eq!(entry.decision_type, DecisionType::Assignment);
    let visitor = PidKey::from_bytes([8; 32]).pseudonym(EXPERIMENT, "visitor-0");
    let assignment: Assignment =
        samplit_audit::TypedPayload::parse(entry.payload.bytes()).expect("an assignment");
    let u64 = draw_key().draw(EXPERIMENT, visitor, 0);
    assert_eq!((assignment.visitor, assignment.u64), (visitor, u64));
    let leaf = |entry: &Entry| merkle::root([entry.current_hash]);
    let leaves = [genesis.current_hash, entry.current_hash];
    let checkpoint = Checkpoint {
        origin: world.genesis.origin.clone(),
        size: 2,
        root: merkle::root(leaves),
    };
    let note = checkpoint::sign(&checkpoint, &[signer()]).expect("an origin");
    [
        ("experiment_id", EXPERIMENT.to_string()),
        ("visitor id", "visitor-0".to_owned()),
        ("visitor", visitor.to_string()),
        ("commitment", draw_key().commitment(EXPERIMENT).to_string()),
        ("u64_hex", format!("{u64:016x}")),
        ("r_ppb", scale(u64).to_string()),
        (
            "weights_ppb",
            format!("{:?}", world.genesis.elements.as_slice()[0].weights_ppb),
        ),
        ("arm", assignment.arm.to_string()),
        ("previous_hash of 1", genesis_hash(EXPERIMENT).to_string()),
        ("current_hash of 1", genesis.current_hash.to_string()),
        ("id of 2", entry.id.to_string()),
        ("created_at_us of 2", entry.created_at_us.to_string()),
        ("payload of 2", entry.payload.as_str().to_owned()),
        ("payload_hash of 2", entry.payload.hash().to_string()),
        (
            "current_hash of 2",
            entry.as_ref().compute_hash().to_string(),
        ),
        ("leaf of 1", leaf(genesis).to_string()),
        ("leaf of 2", leaf(entry).to_string()),
        ("root of 2 entries", checkpoint.root.to_string()),
        ("verifier key", signer().verifying_key().to_string()),
        ("signing key", signer().expose()),
        ("note, escaped", note.replace('\n', "\\n")),
    ]
    .map(|(name, value)| format!("{name:<18} = {value}\n"))
    .concat()
}

#[test]
fn the_worked_example_is_what_is_computed() {
    let computed = example();
    let (_, rest) = DOCUMENT
        .split_once("## 12. Worked example")
        .expect("the section");
    let written = rest.split("```\n").nth(1).expect("a block");
    for (written, computed) in written.lines().zip(computed.lines()) {
        assert_eq!(written, computed);
    }
    assert_eq!(written, computed);
}

/// The document's table of payloads names every key that is ever written.
#[test]
fn every_key_of_the_golden_bundles_is_in_the_document() {
    fn keys(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    found.push(key.clone());
                    keys(value, found);
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for bundle in crate::golden::BUNDLES {
        for line in bundle
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            keys(&serde_json::from_slice(line).expect("JSON"), &mut found);
        }
    }
    for key in found {
        assert!(
            DOCUMENT.contains(&format!("`{key}`")) || DOCUMENT.contains(&format!("\"{key}\"")),
            "{key}"
        );
    }
}
