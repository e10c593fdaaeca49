//! The guard is not blinded: by a second restore, by files that it cannot read, by a directory that is
//! gone, by what is remembered, or by a caller who hangs up.

use std::path::Path;

use samplit_audit::{Checkpoint, Hash, Signer, checkpoint};
use samplit_devpg::TestDatabase;
use samplit_domain::Transition;
use samplit_engine::{Engine, Error, ErrorKind, ExperimentId, NotRecorded, Principal};
use samplit_store::Database;
use samplit_tests::{connect, database, draft, engine_with, eventually, settings, start, step};

use crate::checkpoints::{audit, exporting, signer, signing, visit};
use crate::restore::copy;
use crate::visitor;

/// A trail of a few entries, signed.
async fn exported(directory: &Path) -> (TestDatabase, Engine, ExperimentId) {
    let database = database().await;
    let engine = engine_with(database.url(), exporting(1, directory)).await;
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..3).await;
    let me = Principal::system();
    engine.sign_checkpoint(&me, id).await.unwrap();
    (database, engine, id)
}

async fn sign(engine: &Engine, id: ExperimentId) -> Result<u64, Error> {
    let signed = engine.sign_checkpoint(&Principal::system(), id).await;
    signed.map(|checkpoint| checkpoint.size)
}

async fn acknowledge(engine: &Engine, id: ExperimentId) -> Result<(u32, usize), Error> {
    let me = Principal::system();
    let done = engine.acknowledge_restore(&me, id, "a test", &[]).await;
    done.map(|done| (done.incarnation, done.given_up))
}

fn held(error: &Error) -> &str {
    match error.kind() {
        ErrorKind::OnHold { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn conflict(error: &Error) -> (&'static str, &str) {
    match error.kind() {
        ErrorKind::Conflict { code, detail } => (code, detail),
        other => panic!("{other:?}"),
    }
}

/// Stops an engine and starts another one over the same or another database.
async fn restart(engine: Engine, url: &str, seed: u64, directory: &Path) -> Engine {
    engine.shutdown().await;
    drop(engine);
    engine_with(url, exporting(seed, directory)).await
}

#[tokio::test]
async fn copies_older_than_the_last_restore_do_not_lead_to_two_roots_of_one_size() {
    let directory = tempfile::tempdir().unwrap();
    let (first, engine, id) = exported(directory.path()).await;
    let mut number = 100;
    let mut grow = async |engine: &Engine| {
        visit(engine, id, number..number + 1).await;
        number += 3;
        sign(engine, id).await.unwrap()
    };
    engine.shutdown().await;
    drop(engine);
    let (backup, again) = (copy(&first).await, copy(&first).await);
    let engine = engine_with(first.url(), exporting(2, directory.path())).await;
    for _ in 0..3 {
        grow(&engine).await;
    }

    let engine = restart(engine, backup.url(), 3, directory.path()).await;
    assert_eq!(acknowledge(&engine, id).await.unwrap(), (2, 3));
    for _ in 0..4 {
        grow(&engine).await;
    }

    // The same old copy a second time: incarnation 2 has been, so this is the third.
    let engine = restart(engine, again.url(), 4, directory.path()).await;
    let refused = sign(&engine, id).await.unwrap_err();
    assert!(
        held(&refused).contains("exported checkpoint 2-"),
        "{refused}"
    );
    let (incarnation, given_up) = acknowledge(&engine, id).await.unwrap();
    assert_eq!((incarnation, given_up), (3, 3 + 5));
    let report = audit(&engine, id, &[1]).await;
    assert_eq!((report.incarnation, report.abandoned), (3, 8));
    engine
        .verify(&Principal::system(), id)
        .await
        .unwrap()
        .unwrap();
    assert!(
        engine
            .doctor()
            .await
            .unwrap()
            .iter()
            .all(|check| check.findings.is_empty())
    );

    // And a copy of that, from before some of its own checkpoints.
    engine.shutdown().await;
    drop(engine);
    let third = copy(&again).await;
    let engine = engine_with(again.url(), exporting(5, directory.path())).await;
    for _ in 0..3 {
        grow(&engine).await;
    }
    let engine = restart(engine, third.url(), 6, directory.path()).await;
    let refused = sign(&engine, id).await.unwrap_err();
    assert!(
        held(&refused).contains("was the database restored?"),
        "{refused}"
    );
    assert_eq!(acknowledge(&engine, id).await.unwrap(), (4, 3));
    audit(&engine, id, &[1]).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn what_has_no_name_of_a_checkpoint_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (database, engine, id) = exported(directory.path()).await;
    let folder = directory.path().join(id.to_string());
    for name in [
        "README",
        "9-9007199254740992.note",
        "9-18446744073709551615.note",
        ".x.tmp",
    ] {
        std::fs::write(folder.join(name), "hello").unwrap();
    }
    std::fs::create_dir(directory.path().join("lost+found")).unwrap();
    let engine = restart(engine, database.url(), 2, directory.path()).await;
    visit(&engine, id, 3..5).await;
    let size = sign(&engine, id).await.unwrap();
    assert!(folder.join(format!("1-{size}.note")).exists());
    engine.shutdown().await;
}

#[tokio::test]
async fn a_newest_file_that_cannot_be_read_holds_the_trail_until_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (_database, engine, id) = exported(directory.path()).await;
    let newest = directory.path().join(id.to_string()).join("1-900.note");
    std::fs::write(&newest, "nonsense").unwrap();
    visit(&engine, id, 3..4).await;
    let refused = sign(&engine, id).await.unwrap_err();
    assert!(
        held(&refused).contains("1-900.note is damaged"),
        "{refused}"
    );

    let refused = acknowledge(&engine, id).await.unwrap_err();
    let (code, detail) = conflict(&refused);
    assert_eq!(code, "foreign_checkpoint");
    assert!(detail.contains("1-900.note"), "{detail}");
    // Once it is gone, there is no reason for the hold, and nothing to give up.
    std::fs::remove_file(&newest).unwrap();
    assert_eq!(acknowledge(&engine, id).await.unwrap(), (1, 0));
    visit(&engine, id, 4..5).await;
    sign(&engine, id).await.unwrap();
    assert_eq!(audit(&engine, id, &[1]).await.incarnation, 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn only_what_was_signed_by_a_known_key_is_ever_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (_database, engine, id) = exported(directory.path()).await;
    let folder = directory.path().join(id.to_string());
    let origin = Checkpoint {
        origin: origin(&engine, id).await,
        size: 900,
        root: Hash::of(b"another history"),
    };
    let write = |checkpoint: &Checkpoint, signer: &Signer| {
        let note = checkpoint::sign(checkpoint, std::slice::from_ref(signer)).unwrap();
        std::fs::write(folder.join("1-900.note"), note).unwrap();
    };
    let foreign = Checkpoint {
        origin: "elsewhere.example/trail".to_owned(),
        ..origin.clone()
    };
    write(&foreign, &signer(1));
    let refused = sign(&engine, id).await.unwrap_err();
    assert!(held(&refused).contains("is of another trail"), "{refused}");
    let refused = acknowledge(&engine, id).await.unwrap_err();
    assert_eq!(conflict(&refused).0, "foreign_checkpoint");

    // Of this trail, but by a key of which this server has not heard.
    write(&origin, &signer(7));
    let refused = acknowledge(&engine, id).await.unwrap_err();
    assert_eq!(conflict(&refused).0, "foreign_checkpoint");
    let me = Principal::system();
    let accepted = [signer(7).verifying_key().clone()];
    let done = engine
        .acknowledge_restore(&me, id, "an old key", &accepted)
        .await
        .unwrap();
    assert_eq!((done.incarnation, done.given_up), (2, 1));
    assert_eq!(audit(&engine, id, &[1, 7]).await.abandoned, 1);
    engine.shutdown().await;
}

async fn origin(engine: &Engine, id: ExperimentId) -> String {
    let note = engine
        .checkpoint(&Principal::system(), id)
        .await
        .unwrap()
        .note;
    note.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn without_its_directory_nothing_is_signed_and_no_server_starts() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("mounted");
    std::fs::create_dir(&directory).unwrap();
    let (database, engine, id) = exported(&directory).await;
    let away = parent.path().join("away");
    std::fs::rename(&directory, &away).unwrap();
    visit(&engine, id, 3..5).await;
    let refused = sign(&engine, id).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        &ErrorKind::DirectoryUnavailable,
        "{refused}"
    );
    assert!(!directory.exists(), "nobody makes it up");
    let pool = Database::connect(settings(database.url())).await.unwrap();
    let refused = Engine::start(pool, exporting(2, &directory))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::DirectoryUnavailable);

    std::fs::rename(&away, &directory).unwrap();
    sign(&engine, id).await.unwrap();
    engine.shutdown().await;
}

#[tokio::test]
async fn an_export_that_meets_another_checkpoint_of_its_name_holds_the_trail() {
    let directory = tempfile::tempdir().unwrap();
    let (_database, engine, id) = exported(directory.path()).await;
    visit(&engine, id, 3..4).await;
    let origin = origin(&engine, id).await;
    let size = u64::try_from(
        engine
            .trail(&Principal::system(), id, 0, 100)
            .await
            .unwrap()
            .len(),
    );
    let fork = Checkpoint {
        origin,
        size: size.unwrap(),
        root: Hash::of(b"a clone of the database signed this"),
    };
    let note = checkpoint::sign(&fork, &[signer(1)]).unwrap();
    let path = directory.path().join(id.to_string());
    std::fs::write(path.join(format!("1-{}.note", fork.size)), note).unwrap();
    let refused = sign(&engine, id).await.unwrap_err();
    assert!(held(&refused).contains("exported checkpoint"), "{refused}");
    engine.shutdown().await;
}

#[tokio::test]
async fn what_was_exported_of_a_trail_is_not_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let database = database().await;
    let engine = engine_with(database.url(), exporting(1, directory.path())).await;
    let me = Principal::system();
    let experiment = engine.create_experiment(&me, draft(&[2])).await.unwrap();
    let id = experiment.id;
    engine.shutdown().await;
    drop(engine);
    let backup = copy(&database).await;
    let engine = engine_with(database.url(), exporting(2, directory.path())).await;
    step(&engine, &experiment, Transition::Start).await;
    sign(&engine, id).await.unwrap();

    let engine = restart(engine, backup.url(), 3, directory.path()).await;
    let refused = engine
        .transition(&me, id, Transition::Start, Default::default(), None)
        .await
        .unwrap_err();
    assert_eq!(conflict(&refused).0, "trail_was_exported");
    engine.shutdown().await;
}

#[tokio::test]
async fn nothing_is_remembered_across_a_restore_under_running_servers() {
    let directory = tempfile::tempdir().unwrap();
    let (database, guarding, id) = exported(directory.path()).await;
    let other = engine_with(database.url(), signing(2, &[1])).await;
    let me = Principal::system();
    let owner = connect(database.url()).await;
    owner
        .batch_execute(
            "CREATE TABLE kept_rows AS TABLE assignments; CREATE TABLE kept_trail AS TABLE algorithm_audit_trail;
             CREATE TABLE kept_heads AS TABLE audit_heads; CREATE TABLE kept_versions AS SELECT id, version, updated_at FROM experiments",
        )
        .await
        .unwrap();
    for engine in [&guarding, &other] {
        engine.assign(&me, id, visitor("lost")).await.unwrap();
    }
    sign(&guarding, id).await.unwrap();
    // The database goes back under the servers' feet.
    owner
        .batch_execute(
            "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL; ALTER TABLE audit_checkpoints DISABLE TRIGGER ALL;
             DELETE FROM audit_checkpoints WHERE size > (SELECT size FROM kept_heads);
             DELETE FROM algorithm_audit_trail; DELETE FROM assignments; DELETE FROM audit_heads;
             INSERT INTO assignments TABLE kept_rows; INSERT INTO audit_heads TABLE kept_heads;
             INSERT INTO algorithm_audit_trail TABLE kept_trail;
             UPDATE experiments e SET version = k.version, updated_at = k.updated_at FROM kept_versions k WHERE k.id = e.id;
             ALTER TABLE algorithm_audit_trail ENABLE TRIGGER ALL; ALTER TABLE audit_checkpoints ENABLE TRIGGER ALL",
        )
        .await
        .unwrap();
    held(&sign(&guarding, id).await.unwrap_err());
    for engine in [&guarding, &other] {
        eventually(async || {
            let seen = engine.assign(&me, id, visitor("lost")).await.unwrap();
            seen.reason == Some(NotRecorded::Degraded)
        })
        .await;
        let kept = engine.assign(&me, id, visitor("visitor-1")).await.unwrap();
        assert_eq!(kept.reason, None);
    }
    acknowledge(&guarding, id).await.unwrap();
    // Whoever asks first is new, and for the other server known.
    eventually(async || {
        let seen = other.assign(&me, id, visitor("lost")).await.unwrap();
        seen.is_new
    })
    .await;
    let seen = guarding.assign(&me, id, visitor("lost")).await.unwrap();
    assert_eq!((seen.reason, seen.is_new), (None, false));
    guarding.verify(&me, id).await.unwrap().unwrap();
    for engine in [guarding, other] {
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn who_hangs_up_does_not_cut_a_signature_in_half() {
    let directory = tempfile::tempdir().unwrap();
    let (_database, engine, id) = exported(directory.path()).await;
    visit(&engine, id, 3..4).await;
    let me = Principal::system();
    let before = engine.checkpoint(&me, id).await.unwrap().size;
    {
        let mut asking = Box::pin(engine.sign_checkpoint(&me, id));
        // As far as the task that signs, and no further.
        let polled = futures_util::poll!(&mut asking);
        assert!(polled.is_pending());
    }
    eventually(async || engine.checkpoint(&me, id).await.unwrap().size > before).await;
    let size = engine.checkpoint(&me, id).await.unwrap().size;
    let file = directory
        .path()
        .join(id.to_string())
        .join(format!("1-{size}.note"));
    assert!(file.exists());
    engine.shutdown().await;
}
