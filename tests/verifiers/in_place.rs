//! A trail that the engine made, verified in place and as a bundle.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use samplit_audit::{Checkpoint, EntryRef, Hash, Payload, SignedCheckpoint, bundle, checkpoint};
use samplit_domain::to_micros;
use samplit_engine::{Assign, BundleRange, Convert, EngineConfig, ErrorKind, Principal};
use samplit_tests::{connect, database, draft, engine_with, fixed, start};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::trail::{Trail, signer};
use crate::variations::{self, Variation};
use crate::{agree, code, ours, sql};

/// A bundle from the rows of the trail.
async fn export(client: &Client, experiment: Uuid) -> Vec<u8> {
    let rows = client
        .query(
            "SELECT sequence_number, previous_hash, id, decision_type, created_at, decision_data::text, current_hash
             FROM algorithm_audit_trail WHERE experiment_id = $1 ORDER BY sequence_number",
            &[&experiment],
        )
        .await
        .unwrap();
    let mut out = Vec::new();
    bundle::header(&mut out, experiment);
    for row in &rows {
        let text = |column: usize| row.get::<_, String>(column);
        let payload = Payload::from_text(text(5).as_bytes()).unwrap();
        let entry = EntryRef {
            experiment_id: experiment,
            sequence_number: row.get::<_, i64>(0).try_into().unwrap(),
            previous_hash: text(1).parse().unwrap(),
            id: row.get(2),
            decision_type: text(3).parse().unwrap(),
            created_at_us: to_micros(row.get(4)),
            payload: payload.bytes(),
            current_hash: text(6).parse().unwrap(),
        };
        bundle::entry(&mut out, &entry);
    }
    bundle::end(&mut out, rows.len().try_into().unwrap());
    out
}

#[tokio::test]
async fn a_trail_of_the_engine_is_sound_to_all_and_its_alterations_to_none() {
    let database = database().await;
    let engine = engine_with(database.url(), fixed(5)).await;
    let me = Principal::system();
    let mut three = draft(&[3]);
    three.allocation.warm_up = 5;
    let experiment = start(&engine, three).await;
    let (id, better) = (experiment.id, experiment.elements[0].variants[1].id);
    for number in 0..60 {
        let visitor = format!("visitor-{number}");
        let request = Assign {
            visitor: visitor.clone(),
            ..Assign::default()
        };
        let assigned = engine.assign(&me, id, request).await.unwrap();
        if assigned.variants[0] == better || number % 7 == 0 {
            let request = Convert {
                visitor,
                ..Convert::default()
            };
            engine.convert(&me, id, request).await.unwrap();
        }
    }
    let client = connect(database.url()).await;
    let whole = export(&client, id.0).await;

    // As a bundle, weights included. Without a signing key there is no checkpoint yet: add them.
    let mut trail = Trail::read(&whole);
    trail.items.insert(20, crate::Item::Checkpoint);
    trail.items.push(crate::Item::Checkpoint);
    let bundle = trail.write();
    let report = ours(&bundle, true).unwrap();
    assert!(
        report
            .replay
            .as_ref()
            .is_some_and(|replay| replay.weights > 3)
    );
    let variations: Vec<Variation> = std::iter::once(Variation {
        what: "as it is".into(),
        bundle: bundle.clone(),
    })
    .chain(variations::all(&bundle))
    // Weights that do not follow are not seen by psql; the others are told apart below.
    .filter(|v| code(&ours(&v.bundle, true)) == code(&ours(&v.bundle, false)))
    .collect();
    agree("engine", &variations, true, 300).await;

    // In place, with no more rights than an auditor has.
    let variables = vec![format!("experiment={id}")];
    let as_auditor = format!("{}?options=-c%20role%3Dsamplit_auditor", database.url());
    let said = sql::run(&as_auditor, &variables, b"").await.unwrap();
    assert!(said.contains("60"), "{said}");
    let nothing_left = "SELECT count(*) FROM pg_class WHERE relnamespace = ANY (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg_temp%')";
    assert_eq!(
        client
            .query_one(nothing_left, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );

    client.batch_execute("ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL; ALTER TABLE audit_heads DISABLE TRIGGER ALL").await.unwrap();
    for (what, change) in [
        (
            "decision",
            "UPDATE algorithm_audit_trail SET decision_data = jsonb_set(decision_data, '{arm}', '2') WHERE sequence_number = 5",
        ),
        (
            "time",
            "UPDATE algorithm_audit_trail SET created_at = created_at + interval '1 microsecond' WHERE sequence_number = 5",
        ),
        (
            "id",
            "UPDATE algorithm_audit_trail SET id = gen_random_uuid() WHERE sequence_number = 5",
        ),
        (
            "kind",
            "UPDATE algorithm_audit_trail SET decision_type = 'restore' WHERE sequence_number = 5",
        ),
        (
            "hash",
            "UPDATE algorithm_audit_trail SET current_hash = previous_hash WHERE sequence_number = 5",
        ),
        (
            "stub",
            "UPDATE algorithm_audit_trail SET decision_data = jsonb_build_object('payload_sha256', repeat('0', 64)) WHERE sequence_number = 5",
        ),
        (
            "delete in the middle",
            "DELETE FROM algorithm_audit_trail WHERE sequence_number = 5",
        ),
        (
            "delete the tail",
            "DELETE FROM algorithm_audit_trail WHERE sequence_number = (SELECT size FROM audit_heads)",
        ),
        ("delete everything", "DELETE FROM algorithm_audit_trail"),
        ("head", "UPDATE audit_heads SET size = size - 1"),
        (
            "frontier",
            "UPDATE audit_heads SET frontier = overlay(frontier PLACING '\\x00' FROM 1)",
        ),
    ] {
        let mut copy = connect(database.url()).await;
        let transaction = copy.transaction().await.unwrap();
        transaction.batch_execute("CREATE TABLE kept AS TABLE algorithm_audit_trail; CREATE TABLE kept_heads AS TABLE audit_heads").await.unwrap();
        transaction.batch_execute(change).await.unwrap();
        transaction.commit().await.unwrap();
        let said = sql::run(&as_auditor, &variables, b"").await;
        assert!(
            said.as_ref().is_err_and(|said| said.contains("not sound")),
            "{what}: {said:?}"
        );
        copy.batch_execute(
            "DELETE FROM algorithm_audit_trail; INSERT INTO algorithm_audit_trail TABLE kept;
             DELETE FROM audit_heads; INSERT INTO audit_heads TABLE kept_heads; DROP TABLE kept, kept_heads",
        )
        .await
        .unwrap();
    }
    assert!(sql::run(&as_auditor, &variables, b"").await.is_ok());
    engine.shutdown().await;
}

/// What was given up may be shorter than the trail that gives it up, and of several incarnations.
#[tokio::test]
async fn a_trail_that_gave_up_two_histories_is_sound_to_all() {
    let database = database().await;
    let directory = tempfile::tempdir().unwrap();
    let config = EngineConfig {
        signers: [signer()].into(),
        checkpoint_every: Duration::from_secs(3_600),
        checkpoint_directory: Some(directory.path().to_owned()),
        ..fixed(6)
    };
    let engine = engine_with(database.url(), config).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    let visit = async |name: &str| {
        let visitor = name.to_owned();
        let request = Assign {
            visitor,
            ..Assign::default()
        };
        engine.assign(&me, id, request).await.unwrap();
    };
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        visit(name).await;
    }
    let signed = engine.sign_checkpoint(&me, id).await.unwrap();
    let signed = SignedCheckpoint::parse(&signed.note).unwrap();
    for (name, size) in [("1-9.note", 9), ("2-4.note", 4), ("2-6.note", 6)] {
        let lost = Checkpoint {
            size,
            root: Hash::of(name.as_bytes()),
            ..signed.checkpoint().clone()
        };
        let note = checkpoint::sign(&lost, &[signer()]).unwrap();
        std::fs::write(directory.path().join(id.to_string()).join(name), note).unwrap();
    }
    let refused = engine.sign_checkpoint(&me, id).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::OnHold { .. }));
    let done = engine
        .acknowledge_restore(&me, id, "twice", &[])
        .await
        .unwrap();
    assert_eq!((done.incarnation, done.given_up), (3, 3));
    visit("h").await;
    engine.sign_checkpoint(&me, id).await.unwrap();

    let whole = engine.bundle(&me, id, BundleRange::default()).await;
    let bundle = whole.unwrap().lines.try_concat().await.unwrap();
    let report = ours(&bundle, true).unwrap();
    assert_eq!((report.incarnation, report.abandoned), (3, 3));
    let as_it_is = Variation {
        what: "two histories given up".into(),
        bundle,
    };
    agree("restored", &[as_it_is], true, 1).await;
    let variables = vec![format!("experiment={id}")];
    sql::run(database.url(), &variables, b"").await.unwrap();
    engine.verify(&me, id).await.unwrap().unwrap();
    engine.shutdown().await;
}
