//! The published vectors of `samplit-audit-v1`, from the folder that `SAMPLIT_TEST_DATA` names.
//! Without it a few of them, kept inline, are still tested.

use samplit_audit::{
    Checkpoint, DecisionType, DrawKey, Entry, Hash, Head, Options, Payload, PidKey,
    SignedCheckpoint, Signer, Verifier, checkpoint, choose, genesis_hash, merkle, scale, sj1,
};
use serde_json::Value;
use uuid::Uuid;

fn vectors() -> Option<Value> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the folder of the vectors is the tester's"
    )]
    let Ok(folder) = std::env::var("SAMPLIT_TEST_DATA") else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: SAMPLIT_TEST_DATA is not set");
        }
        return None;
    };
    let text = std::fs::read(format!("{folder}/vectors/audit_v1.json")).expect("the vectors");
    Some(serde_json::from_slice(&text).expect("JSON"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect(key)
}

fn hash(value: &Value, key: &str) -> Hash {
    text(value, key).parse().expect(key)
}

fn hashes(value: &Value) -> Vec<Hash> {
    let hash = |item: &Value| item.as_str().expect("text").parse().expect("a hash");
    value.as_array().expect("a list").iter().map(hash).collect()
}

fn bytes(hex: &str) -> [u8; 32] {
    hex.parse::<Hash>().expect("32 bytes").0
}

fn small(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|number| number.try_into().ok())
        .expect("a small number")
}

fn experiment(vectors: &Value) -> Uuid {
    text(vectors, "experiment_id").parse().expect("a UUID")
}

#[test]
fn draws() {
    let Some(vectors) = vectors() else { return };
    let experiment = experiment(&vectors);
    let draw_key = DrawKey::from_bytes(bytes(text(&vectors, "draw_key_hex")));
    let pid_key = PidKey::from_bytes(bytes(text(&vectors, "pid_key_hex")));
    assert_eq!(genesis_hash(experiment), hash(&vectors, "genesis"));
    assert_eq!(
        draw_key.commitment(experiment),
        hash(&vectors, "draw_key_commitment")
    );
    let draws = vectors["draws"].as_array().expect("draws");
    assert_eq!(draws.len(), 5);
    for case in draws {
        let pid = pid_key.pseudonym(experiment, text(case, "visitor"));
        assert_eq!(pid.to_string(), text(case, "pid"));
        let index = u16::try_from(small(&case["draw"])).expect("a draw");
        let u64 = draw_key.draw(experiment, pid, index);
        assert_eq!(format!("{u64:016x}"), text(case, "u64_hex"));
        assert_eq!(scale(u64), small(&case["r_ppb"]));
        let weights: Vec<u32> = case["weights_ppb"]
            .as_array()
            .expect("weights")
            .iter()
            .map(small)
            .collect();
        assert_eq!(
            choose(&weights, scale(u64)).map(|arm| arm as u64),
            case["arm"].as_u64()
        );
    }
}

#[test]
fn entries_and_their_checkpoint() {
    let Some(vectors) = vectors() else { return };
    let mut head = Head::new(experiment(&vectors));
    let mut appended = Vec::new();
    let entries = vectors["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 3);
    for case in entries {
        let payload = Payload::from_json(&case["decision_data"]).expect("of the profile");
        assert_eq!(payload.as_str(), text(case, "jcs"));
        assert_eq!(payload.hash(), hash(case, "payload_sha256"));
        assert_eq!(
            Payload::from_canonical(payload.bytes().to_vec()).as_ref(),
            Ok(&payload)
        );
        let stub = payload.redacted();
        for payload in [stub, payload] {
            let mut copy = head.clone();
            let entry = append(&mut copy, case, payload);
            assert_eq!(
                entry.sequence_number,
                case["sequence_number"].as_u64().expect("number")
            );
            assert_eq!(entry.previous_hash, hash(case, "previous_hash"));
            assert_eq!(entry.current_hash, hash(case, "current_hash"));
            assert_eq!(entry.as_ref().compute_hash(), entry.current_hash);
        }
        let payload = Payload::from_text(text(case, "jcs").as_bytes()).expect("of the profile");
        appended.push(append(&mut head, case, payload));
    }
    let case = &vectors["checkpoint"];
    let vkey = text(case, "vkey");
    let (name, _) = vkey.split_once('+').expect("a name");
    let signer = Signer::from_seed(name, &bytes(text(case, "signing_seed_hex"))).expect("a name");
    assert_eq!(signer.verifying_key().to_string(), vkey);
    let checkpoint = Checkpoint {
        origin: name.to_owned(),
        size: head.size(),
        root: head.root(),
    };
    let note = checkpoint::sign(&checkpoint, &[signer]);
    assert_eq!(note.as_deref(), Ok(text(case, "note")));
    let signed = SignedCheckpoint::parse(text(case, "note")).expect("a note");
    assert_eq!(signed.checkpoint(), &checkpoint);
    assert_eq!(signed.verify(&[vkey.parse().expect("a key")]), Ok(1));

    let mut verifier = Verifier::new(
        head.experiment_id(),
        Options {
            keys: vec![vkey.parse().expect("a key")],
            ..Options::default()
        },
    );
    for entry in &appended {
        verifier.push_entry(&entry.as_ref()).expect("sound");
    }
    verifier.push_checkpoint(text(case, "note")).expect("sound");
    assert_eq!(verifier.finish().expect("sound").signed_size, 3);
}

fn append(head: &mut Head, case: &Value, payload: Payload) -> Entry {
    let kind: DecisionType = text(case, "decision_type")
        .parse()
        .expect("a decision type");
    let at = case["created_at_us"].as_i64().expect("a time");
    head.append(text(case, "id").parse().expect("a UUID"), kind, at, payload)
}

#[test]
fn merkle_trees() {
    let Some(vectors) = vectors() else { return };
    let trees = vectors["merkle"].as_array().expect("trees");
    assert_eq!(trees.len(), 13);
    let roots: Vec<Hash> = trees.iter().map(|tree| hash(tree, "root")).collect();
    for tree in trees {
        let size = tree["size"].as_u64().expect("a size");
        let leaves = hashes(&tree["leaves"]);
        let root = hash(tree, "root");
        assert_eq!(merkle::root(leaves.iter().copied()), root);
        for (index, leaf) in (0..size).zip(&leaves) {
            let proof = hashes(&tree["inclusion"][index.to_string()]);
            let computed = merkle::inclusion_proof(index, size, leaves.iter().copied());
            assert_eq!(computed.as_ref(), Some(&proof));
            assert!(merkle::verify_inclusion(index, size, *leaf, &proof, root));
        }
        for (old, old_root) in (1..=size).zip(&roots) {
            let proof = hashes(&tree["consistency"][old.to_string()]);
            let computed = merkle::consistency_proof(old, size, leaves.iter().copied());
            assert_eq!(computed.as_ref(), Some(&proof), "{old} in {size}");
            assert!(merkle::verify_consistency(
                old, *old_root, size, root, &proof
            ));
        }
    }
}

#[test]
fn rejected_payloads() {
    let Some(vectors) = vectors() else { return };
    let cases = vectors["reject"].as_array().expect("cases");
    assert_eq!(cases.len(), 10);
    for case in cases {
        let json = text(case, "json").as_bytes();
        assert!(sj1::parse(json).is_err(), "{}", text(case, "why"));
        assert!(sj1::check(json).is_err(), "{}", text(case, "why"));
    }
}

#[test]
fn inline_without_the_folder() {
    let experiment: Uuid = "6f1e2d3c-4b5a-4978-8a9b-0c1d2e3f4a5b"
        .parse()
        .expect("a UUID");
    let key = |first: u8| -> [u8; 32] {
        std::array::from_fn(|at| first + u8::try_from(at).expect("small"))
    };
    let (draw_key, pid_key) = (DrawKey::from_bytes(key(0)), PidKey::from_bytes(key(32)));
    assert_eq!(
        draw_key.commitment(experiment).to_string(),
        "8fdabed73d6a15876667d0693a008a4a868f4d16f0644f939ad925605ce96441",
    );
    let pid = pid_key.pseudonym(experiment, "visitor-42");
    assert_eq!(
        pid.to_string(),
        "759899527d8c2be37cfc6339177c42d8477ade1664b2fbfba373a4f0db5c72d4",
    );
    let u64 = draw_key.draw(experiment, pid, 0);
    assert_eq!((u64, scale(u64)), (0xd43b_5bb0_d4fc_0974, 829_030_733));

    let previous = "6fbe158d3f4cd5a2ed746d1ffb22e08bceadbb15673f1ff35e6b23117fc2f4d0";
    let payload = Payload::from_text(
        br#"{"visitor":"759899527d8c2be37cfc6339177c42d8477ade1664b2fbfba373a4f0db5c72d4",
            "arm":2,"draw":0,"r_ppb":829030733,"snapshot_seq":1,"u64_hex":"d43b5bb0d4fc0974"}"#,
    )
    .expect("of the profile");
    let frontier = merkle::Frontier::from_bytes(1, &[0; 32]).expect("one root");
    let mut head = Head::from_parts(
        experiment,
        1,
        previous.parse().expect("a hash"),
        0,
        &frontier.to_bytes(),
    )
    .expect("one root");
    let entry = head.append(
        Uuid::from_u128(0x4000_8000_0000_0000_0002),
        DecisionType::Assignment,
        1_767_323_045_678_901,
        payload,
    );
    assert_eq!(
        entry.current_hash.to_string(),
        "ce7f5ce6a3cdc0af3f100d183dce27bb4294d6e12ba321a4620c225619071b71",
    );
}
