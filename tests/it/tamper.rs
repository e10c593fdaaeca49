//! What somebody who owns the database may do to a trail, and what finds it.
//!
//! Every attack is carried out by a superuser who has switched the triggers off. What it comes to is
//! asked in four ways: by the engine in place; by an auditor who holds a bundle only; by one who has
//! pinned the key; and by one who also kept a checkpoint. Where only the last one notices, the test
//! says that the others do not: that is why checkpoints leave the house.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use samplit_audit::{
    Checkpoint, DecisionType, Entry, FailureKind, Hash, Head, Options, Payload, SignedCheckpoint,
    Signer, bundle, checkpoint,
};
use samplit_devpg::TestDatabase;
use samplit_domain::Transition;
use samplit_engine::{
    BanditRule, BundleRange, Engine, ErrorKind, ExperimentId, Principal, from_micros,
};
use samplit_tests::{connect, database, draft, engine_with, fixed, start, step};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{conversion, visitor};

/// `None`: nothing noticed.
type Found = Option<FailureKind>;

/// What each of the four says.
#[derive(Debug, PartialEq, Eq)]
struct Verdicts {
    in_place: Found,
    bundle: Found,
    pinned: Found,
    kept: Found,
}

const INTEGRITY: Found = Some(FailureKind::Integrity);
const SIGNATURE: Found = Some(FailureKind::Signature);
const REPLAY: Found = Some(FailureKind::Replay);

struct Scene {
    _database: TestDatabase,
    engine: Engine,
    owner: Client,
    id: ExperimentId,
    /// The last checkpoint before the attack, as the auditor has it.
    kept: Checkpoint,
}

fn signer() -> Signer {
    Signer::from_seed("tests.example", &[9; 32]).unwrap()
}

impl Scene {
    /// A trail with every kind of entry that traffic and operators leave, signed in the middle and at
    /// its end, and then the triggers switched off.
    async fn new() -> Self {
        let database = database().await;
        let mut config = fixed(2);
        config.signers = [signer()].into();
        // Only when asked, however long the attacks take.
        config.checkpoint_every = Duration::from_secs(3_600);
        let engine = engine_with(database.url(), config).await;
        let me = Principal::system();
        let mut two = draft(&[2]);
        two.allocation.warm_up = 5;
        let experiment = start(&engine, two).await;
        let id = experiment.id;
        for number in 0..20 {
            let name = format!("visitor-{number}");
            engine.assign(&me, id, visitor(&name)).await.unwrap();
            if number % 3 == 0 {
                engine.convert(&me, id, conversion(&name)).await.unwrap();
            }
        }
        engine.sign_checkpoint(&me, id).await.unwrap();
        let owner = connect(database.url()).await;
        engine.redact(&me, id, 2, "a request").await.unwrap();
        step(&engine, &experiment, Transition::Complete).await;
        // The last entry is a conversion, of which no reallocation tells.
        engine
            .convert(&me, id, conversion("visitor-1"))
            .await
            .unwrap();
        engine.sign_checkpoint(&me, id).await.unwrap();
        let note = engine.checkpoint(&me, id).await.unwrap().note;
        let kept = SignedCheckpoint::parse(&note).unwrap().checkpoint().clone();
        owner
            .batch_execute(
                "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL;
                 ALTER TABLE audit_checkpoints DISABLE TRIGGER ALL;
                 CREATE TABLE safe_trail (LIKE algorithm_audit_trail);
                 CREATE TABLE safe_heads (LIKE audit_heads);
                 CREATE TABLE safe_checkpoints (LIKE audit_checkpoints)",
            )
            .await
            .unwrap();
        let scene = Self {
            _database: database,
            engine,
            owner,
            id,
            kept,
        };
        scene.save().await;
        scene
    }

    /// The two kinds of entry that are left: the end, and what an operator says after a restore.
    async fn seal_and_restore(&self) {
        let me = Principal::system();
        self.engine.seal(&me, self.id, true).await.unwrap();
        let lost = Checkpoint {
            size: self.kept.size + 100,
            root: Hash::of(b"lost"),
            ..self.kept.clone()
        };
        let note = checkpoint::sign(&lost, &[signer()]).unwrap();
        let size = i64::try_from(lost.size).unwrap();
        self.owner
            .execute(
                "INSERT INTO audit_checkpoints (experiment_id, incarnation, size, root, note)
                 VALUES ($1, 1, $2, $3, $4)",
                &[&self.id.0, &size, &lost.root.to_string(), &note],
            )
            .await
            .unwrap();
        self.sql("UPDATE audit_heads SET hold = 'restored'").await;
        self.engine
            .acknowledge_restore(&me, self.id, "the disk died", &[])
            .await
            .unwrap();
    }

    /// What [`undo`](Self::undo) goes back to.
    async fn save(&self) {
        self.owner
            .batch_execute(
                "TRUNCATE safe_trail, safe_heads, safe_checkpoints;
                 INSERT INTO safe_trail TABLE algorithm_audit_trail;
                 INSERT INTO safe_heads TABLE audit_heads;
                 INSERT INTO safe_checkpoints TABLE audit_checkpoints",
            )
            .await
            .unwrap();
    }

    /// Undoes an attack.
    async fn undo(&self) {
        self.owner
            .batch_execute(
                "DELETE FROM audit_checkpoints; DELETE FROM algorithm_audit_trail; DELETE FROM audit_heads;
                 INSERT INTO audit_heads TABLE safe_heads;
                 INSERT INTO algorithm_audit_trail TABLE safe_trail;
                 INSERT INTO audit_checkpoints TABLE safe_checkpoints",
            )
            .await
            .unwrap();
    }

    async fn sql(&self, attack: &str) {
        let done = self.owner.execute(attack, &[]).await;
        assert_ne!(done.unwrap(), 0, "{attack}");
    }

    async fn entries(&self) -> Vec<Entry> {
        let rows = self
            .owner
            .query(
                "SELECT sequence_number, id, decision_type, decision_data::text, created_at, previous_hash,
                 current_hash FROM algorithm_audit_trail WHERE experiment_id = $1 ORDER BY 1",
                &[&self.id.0],
            )
            .await
            .unwrap();
        let entries = rows.iter().map(|row| {
            let hash = |index| row.get::<_, &str>(index).parse::<Hash>().unwrap();
            Entry {
                experiment_id: self.id.0,
                sequence_number: row.get::<_, i64>(0).try_into().unwrap(),
                previous_hash: hash(5),
                id: row.get(1),
                decision_type: row.get::<_, &str>(2).parse().unwrap(),
                created_at_us: samplit_domain::to_micros(row.get(4)),
                payload: Payload::from_text(row.get::<_, &str>(3).as_bytes()).unwrap(),
                current_hash: hash(6),
            }
        });
        entries.collect()
    }

    /// Writes another history, every hash of it recomputed, and the head that belongs to it.
    async fn rewrite(&self, history: &[Entry]) -> Head {
        let mut head = Head::new(self.id.0);
        let delete = "DELETE FROM algorithm_audit_trail WHERE experiment_id = $1";
        self.owner.execute(delete, &[&self.id.0]).await.unwrap();
        for old in history {
            let new = head.append(
                old.id,
                old.decision_type,
                old.created_at_us,
                old.payload.clone(),
            );
            self.owner
                .execute(
                    "INSERT INTO algorithm_audit_trail (id, experiment_id, sequence_number, decision_type,
                     decision_data, previous_hash, current_hash, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    &[
                        &new.id,
                        &new.experiment_id,
                        &i64::try_from(new.sequence_number).unwrap(),
                        &new.decision_type.as_str(),
                        &new.payload.to_json(),
                        &new.previous_hash.to_string(),
                        &new.current_hash.to_string(),
                        &from_micros(new.created_at_us),
                    ],
                )
                .await
                .unwrap();
        }
        self.owner
            .execute(
                "UPDATE audit_heads SET size = $2, head_hash = $3, frontier = $4, last_us = $5
                 WHERE experiment_id = $1",
                &[
                    &self.id.0,
                    &i64::try_from(head.size()).unwrap(),
                    &head.hash().to_string(),
                    &head.frontier_bytes(),
                    &head.last_us(),
                ],
            )
            .await
            .unwrap();
        head
    }

    /// Signs the head with the operator's own key, as if nothing had been signed before.
    async fn sign_anew(&self, head: &Head) {
        let checkpoint = Checkpoint {
            origin: self.kept.origin.clone(),
            size: head.size(),
            root: head.root(),
        };
        let note = checkpoint::sign(&checkpoint, &[signer()]).unwrap();
        self.owner
            .execute("DELETE FROM audit_checkpoints", &[])
            .await
            .unwrap();
        self.owner
            .execute(
                "INSERT INTO audit_checkpoints (experiment_id, incarnation, size, root, note, frontier)
                 VALUES ($1, 1, $2, $3, $4, $5)",
                &[
                    &self.id.0,
                    &i64::try_from(head.size()).unwrap(),
                    &head.root().to_string(),
                    &note,
                    &head.frontier_bytes(),
                ],
            )
            .await
            .unwrap();
    }

    async fn verdicts(&self) -> Verdicts {
        let me = Principal::system();
        let in_place = match self.engine.verify(&me, self.id).await {
            Ok(Ok(_)) => None,
            Ok(Err(failure)) => Some(failure.kind),
            Err(error) => panic!("not verified: {error:?}"),
        };
        let range = BundleRange {
            after: 0,
            size: None,
        };
        let lines = match self.engine.bundle(&me, self.id, range).await {
            Ok(bundle) => bundle.lines.try_concat().await,
            Err(error) => Err(error),
        };
        let audit = |keys, known| match &lines {
            // What cannot even be written as a bundle is noticed by everybody.
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Internal), "{error:?}");
                INTEGRITY
            }
            Ok(lines) => {
                let options = Options {
                    keys,
                    known,
                    replay: true,
                    rule: Some(Box::new(BanditRule)),
                    ..Options::default()
                };
                bundle::verify(lines.as_slice(), options)
                    .err()
                    .map(|failure| failure.kind)
            }
        };
        let key = || vec![signer().verifying_key().clone()];
        Verdicts {
            in_place,
            bundle: audit(Vec::new(), Vec::new()),
            pinned: audit(key(), Vec::new()),
            kept: audit(key(), vec![self.kept.clone()]),
        }
    }
}

fn everybody(found: Found) -> Verdicts {
    Verdicts {
        in_place: found,
        bundle: found,
        pinned: found,
        kept: found,
    }
}

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
