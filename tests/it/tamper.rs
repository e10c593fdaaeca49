//! What somebody who owns the database may do to a trail, and what finds it.
//!
//! Every attack is carried out by a superuser who has switched the triggers off. What it comes to is
//! asked in four ways: by the engine in place; by an auditor who holds a bundle only; by one who has
//! pinned the key; and by one who also kept a checkpoint. Where only the last one notices, the test
//! says that the others do not: that is why checkpoints leave the house.

mod scene;

use samplit_audit::{DecisionType, Entry, FailureKind, Payload};
use samplit_engine::Principal;
use samplit_tests::{draft, start};
use uuid::Uuid;

use crate::conversion;
use scene::{INTEGRITY, REPLAY, SIGNATURE, Scene, Verdicts, everybody};

/// The position of the last entry of a kind.
fn last(entries: &[Entry], kind: DecisionType) -> usize {
    entries
        .iter()
        .rposition(|entry| entry.decision_type == kind)
        .unwrap()
}

#[tokio::test]
async fn every_column_of_every_kind_of_entry_is_covered() {
    let scene = Scene::new().await;
    assert_eq!(scene.verdicts().await, everybody(None));
    scene.seal_and_restore().await;
    let other = start(&scene.engine, draft(&[2])).await.id;
    scene.save().await;
    assert_eq!(scene.verdicts().await, everybody(None));
    let moved = format!("experiment_id = '{other}', sequence_number = 1000");
    for kind in [
        "genesis",
        "assignment",
        "conversion",
        "reallocation",
        "redaction",
        "seal",
        "restore",
    ] {
        for change in [
            "id = gen_random_uuid()",
            moved.as_str(),
            "sequence_number = sequence_number + 1000",
            "decision_type = CASE decision_type WHEN 'conversion' THEN 'assignment' ELSE 'conversion' END",
            "decision_data = decision_data || '{\"zz\": 1}'",
            "decision_data = decision_data - (SELECT min(key) FROM jsonb_object_keys(decision_data) key)",
            "decision_data = translate(decision_data::text, '12', '21')::jsonb",
            "decision_data = '{}'",
            "decision_data = '[]'",
            "decision_data = '{\"a\": 1.5}'",
            "previous_hash = repeat('a', 64)",
            "previous_hash = repeat('z', 64)",
            "current_hash = repeat('a', 64)",
            "created_at = created_at + interval '1 microsecond'",
            "created_at = created_at - interval '1 day'",
        ] {
            let attack = format!(
                "UPDATE algorithm_audit_trail SET {change} WHERE id = (SELECT id FROM algorithm_audit_trail
                 WHERE experiment_id = '{}' AND decision_type = '{kind}' ORDER BY sequence_number DESC LIMIT 1)",
                scene.id
            );
            scene.sql(&attack).await;
            let found = scene.verdicts().await;
            for verdict in [found.in_place, found.bundle, found.pinned, found.kept] {
                assert!(
                    matches!(
                        verdict,
                        Some(FailureKind::Integrity | FailureKind::Malformed)
                    ),
                    "{attack}: {found:?}"
                );
            }
            scene.undo().await;
        }
    }
    assert_eq!(scene.verdicts().await, everybody(None));
}

#[tokio::test]
async fn rows_that_go_come_or_change_places_break_the_chain() {
    let scene = Scene::new().await;
    let id = scene.id;
    let of = format!("FROM algorithm_audit_trail WHERE experiment_id = '{id}' AND sequence_number");
    for attack in [
        format!("DELETE {of} = 1"),
        format!("DELETE {of} = 7"),
        format!("DELETE {of} > 20"),
        format!(
            "UPDATE algorithm_audit_trail SET sequence_number = CASE sequence_number WHEN 5 THEN 1006 ELSE 1005 END
             WHERE experiment_id = '{id}' AND sequence_number IN (5, 6)"
        ),
        format!(
            "INSERT INTO algorithm_audit_trail SELECT gen_random_uuid(), experiment_id, 1 + (SELECT max(sequence_number)
             FROM algorithm_audit_trail), decision_type, decision_data, previous_hash, current_hash, created_at {of} = 7"
        ),
    ] {
        scene.sql(&attack).await;
        if attack.starts_with("UPDATE") {
            let back = "UPDATE algorithm_audit_trail SET sequence_number = sequence_number - 1000
                        WHERE sequence_number > 1000";
            scene.sql(back).await;
        }
        let found = scene.verdicts().await;
        // An entry behind the head is in no bundle, and no proof reaches it: that one the doctor finds.
        let expected = if attack.starts_with("INSERT") {
            let checks = scene.engine.doctor().await.unwrap();
            assert!(checks.iter().any(|check| !check.is_passed()), "{attack}");
            None
        } else {
            INTEGRITY
        };
        assert_eq!(found, everybody(expected), "{attack}");
        scene.undo().await;
    }
}

#[tokio::test]
async fn a_rewritten_history_is_found_by_what_left_the_house() {
    let scene = Scene::new().await;
    let entries = scene.entries().await;
    // The conversion at the end never happened, and every hash is right.
    let mut history = entries.clone();
    history.truncate(last(&entries, DecisionType::Conversion));

    let head = scene.rewrite(&history).await;
    let found = scene.verdicts().await;
    // In place the checkpoint behind the end is seen; a bundle of the shorter trail leaves it out.
    let expected = Verdicts {
        in_place: INTEGRITY,
        bundle: None,
        pinned: None,
        kept: INTEGRITY,
    };
    assert_eq!(found, expected, "a cut tail");

    scene
        .owner
        .execute("DELETE FROM audit_checkpoints", &[])
        .await
        .unwrap();
    let expected = Verdicts {
        in_place: None,
        bundle: None,
        pinned: SIGNATURE,
        kept: INTEGRITY,
    };
    assert_eq!(scene.verdicts().await, expected, "and no checkpoint left");

    scene.sign_anew(&head).await;
    let expected = Verdicts {
        kept: INTEGRITY,
        ..everybody(None)
    };
    assert_eq!(
        scene.verdicts().await,
        expected,
        "and signed with the stolen key"
    );
    scene.undo().await;

    // A conversion in the middle is worth twice as much, and everything from there on is re-hashed.
    let mut history = entries.clone();
    let at = last(&entries[..entries.len() / 2], DecisionType::Conversion);
    let value = history[at]
        .payload
        .as_str()
        .replace("3ff0000000000000", "4000000000000000");
    history[at].payload = Payload::from_canonical(value.into_bytes()).unwrap();
    let head = scene.rewrite(&history).await;
    assert_eq!(
        scene.verdicts().await,
        everybody(INTEGRITY),
        "a rewritten suffix"
    );
    scene.sign_anew(&head).await;
    assert_eq!(
        scene.verdicts().await,
        expected,
        "and signed with the stolen key"
    );
    scene.undo().await;
}

/// A forger who forgot the frontier gets no help with it, whatever else gives the forgery away.
#[tokio::test]
async fn no_frontier_is_made_to_fit_a_forgery() {
    let scene = Scene::new().await;
    let entries = scene.entries().await;
    let frontier: Vec<u8> = scene
        .owner
        .query_one("SELECT frontier FROM audit_heads", &[])
        .await
        .unwrap()
        .get(0);
    let put_back = async || {
        let sql = "UPDATE audit_heads SET frontier = $1";
        scene.owner.execute(sql, &[&frontier]).await.unwrap();
    };
    let left_alone = async |why: &str| {
        let repairs = scene.engine.repair().await.unwrap();
        assert_eq!(repairs.made, []);
        assert_eq!(repairs.refused.len(), 1);
        let what = &repairs.refused[0].what;
        assert!(what.contains(why), "{what}");
    };

    // Sound but for a checkpoint: another reason for the redaction, every hash recomputed.
    let mut history = entries.clone();
    let at = last(&entries, DecisionType::Redaction);
    let reason = history[at]
        .payload
        .as_str()
        .replace("a request", "no reason");
    history[at].payload = Payload::from_canonical(reason.into_bytes()).unwrap();
    scene.rewrite(&history).await;
    put_back().await;
    left_alone("checkpoints are what the trails began with").await;
    scene.undo().await;

    // Without a checkpoint left: counts that the entries before do not give.
    let at = last(&entries, DecisionType::Reallocation);
    let mut history = entries.clone();
    let other = history[at].payload.as_str().replace("\"n\":", "\"n\":1");
    history[at].payload = Payload::from_canonical(other.into_bytes()).unwrap();
    scene.rewrite(&history).await;
    put_back().await;
    scene
        .owner
        .execute("DELETE FROM audit_checkpoints", &[])
        .await
        .unwrap();
    left_alone(&format!("entry {}", at + 1)).await;
    scene.undo().await;

    // The frontier alone is mended.
    let sql = "UPDATE audit_heads SET frontier = set_byte(frontier, 3, get_byte(frontier, 3) # 1)";
    scene.sql(sql).await;
    let repairs = scene.engine.repair().await.unwrap();
    assert_eq!((repairs.made.len(), repairs.refused.len()), (1, 0));
    assert_eq!(scene.verdicts().await, everybody(None));
}

#[tokio::test]
async fn a_decision_against_the_rule_is_found_without_any_key() {
    let scene = Scene::new().await;
    let entries = scene.entries().await;
    let at = last(&entries, DecisionType::Assignment);
    let text = entries[at].payload.as_str();
    let flipped = if text.contains("\"arm\":0") {
        text.replace("\"arm\":0", "\"arm\":1")
    } else {
        text.replace("\"arm\":1", "\"arm\":0")
    };
    let mut history = entries.clone();
    history[at].payload = Payload::from_canonical(flipped.into_bytes()).unwrap();
    let head = scene.rewrite(&history).await;
    scene.sign_anew(&head).await;
    let found = scene.verdicts().await;
    let expected = Verdicts {
        kept: found.kept,
        ..everybody(REPLAY)
    };
    assert_eq!(found, expected, "another arm than the draw");
    assert!(found.kept.is_some());
    scene.undo().await;

    // A visitor assigned twice.
    let mut history = entries.clone();
    let mut again = entries[at].clone();
    again.id = Uuid::from_u128(1);
    history.insert(at + 1, again);
    let head = scene.rewrite(&history).await;
    scene.sign_anew(&head).await;
    assert_eq!(scene.verdicts().await.bundle, REPLAY, "assigned twice");
    scene.undo().await;
}

#[tokio::test]
async fn a_tail_that_nothing_signed_can_be_cut_unnoticed() {
    let scene = Scene::new().await;
    let me = Principal::system();
    scene
        .engine
        .convert(&me, scene.id, conversion("visitor-2"))
        .await
        .unwrap();
    let mut history = scene.entries().await;
    history.pop();
    scene.rewrite(&history).await;
    // This is what signing every 30 seconds bounds, and what the documents say.
    assert_eq!(scene.verdicts().await, everybody(None));
}

#[tokio::test]
async fn two_histories_have_no_consistency_proof() {
    let scene = Scene::new().await;
    let me = Principal::system();
    let entries = scene.entries().await;
    let at = last(&entries, DecisionType::Conversion);
    let mut history = entries.clone();
    let other = history[at]
        .payload
        .as_str()
        .replace("3ff0000000000000", "4000000000000000");
    history[at].payload = Payload::from_canonical(other.into_bytes()).unwrap();
    let head = scene.rewrite(&history).await;
    scene.sign_anew(&head).await;
    // Each history is sound by itself, and signed.
    let expected = Verdicts {
        kept: INTEGRITY,
        ..everybody(None)
    };
    assert_eq!(scene.verdicts().await, expected);
    let proof = scene
        .engine
        .consistency_proof(&me, scene.id, scene.kept.size, Some(head.size()))
        .await
        .unwrap();
    assert_ne!(
        proof.first_root, scene.kept.root,
        "the other history shows another root"
    );
}
