//! The guard against a database that was set back, and the way on after it.

use samplit_audit::{Options, bundle};
use samplit_devpg::{DevPg, TestDatabase};
use samplit_engine::{BundleRange, ErrorKind, NotRecorded, Principal};
use samplit_tests::{connect, database, draft, engine_with, start};

use crate::checkpoints::{audit, bundle_of, exporting, signer, signing, visit};
use crate::{conversion, visitor};

/// A copy of a database, as a backup is one.
pub(crate) async fn copy(database: &TestDatabase) -> TestDatabase {
    let pg = DevPg::shared().await;
    let admin = connect(&pg.url("postgres")).await;
    let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = $1";
    admin.query(end, &[&database.name()]).await.unwrap();
    pg.create_from_template(database.name()).await.unwrap()
}

#[tokio::test]
async fn a_database_that_was_set_back_records_nothing_until_somebody_owns_up() {
    let database = database().await;
    let directory = tempfile::tempdir().unwrap();
    let me = Principal::system();
    let engine = engine_with(database.url(), exporting(1, directory.path())).await;
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..10).await;
    engine.sign_checkpoint(&me, id).await.unwrap();
    let known = engine.assign(&me, id, visitor("visitor-1")).await.unwrap();
    engine.shutdown().await;
    drop(engine);
    let backup = copy(&database).await;

    let engine = engine_with(database.url(), exporting(2, directory.path())).await;
    for batch in 1..4 {
        visit(&engine, id, batch * 10..batch * 10 + 10).await;
        engine.sign_checkpoint(&me, id).await.unwrap();
    }
    let lost = engine.checkpoint(&me, id).await.unwrap();
    engine.shutdown().await;

    // The backup goes live, first where nobody knows what was exported, then where it is known.
    let unaware = engine_with(backup.url(), signing(3, &[1])).await;
    visit(&unaware, id, 100..102).await;
    let engine = engine_with(backup.url(), exporting(4, directory.path())).await;
    for server in [&engine, &unaware] {
        let new = server.assign(&me, id, visitor("new")).await.unwrap();
        assert_eq!(new.reason, Some(NotRecorded::Degraded));
        assert_eq!(
            new.variants[0], new.experiment.elements[0].variants[0].id,
            "control"
        );
        let kept = server.assign(&me, id, visitor("visitor-1")).await.unwrap();
        assert_eq!((kept.reason, &kept.variants), (None, &known.variants));
        let refused = server
            .convert(&me, id, conversion("visitor-1"))
            .await
            .unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::OnHold { .. }),
            "{refused}"
        );
        let refused = server.sign_checkpoint(&me, id).await.unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::OnHold { .. }),
            "{refused}"
        );
    }
    // Only the server with the directory knows what is given up.
    let refused = unaware
        .acknowledge_restore(&me, id, "disk lost", &[])
        .await
        .unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "no_directory",
            ..
        }
    ));
    engine
        .acknowledge_restore(&me, id, "disk lost", &[])
        .await
        .unwrap();

    for server in [&engine, &unaware] {
        server
            .convert(&me, id, conversion("visitor-1"))
            .await
            .unwrap();
    }
    visit(&unaware, id, 200..205).await;
    let signed = engine.sign_checkpoint(&me, id).await.unwrap();
    assert_eq!(signed.incarnation, 2);
    let report = audit(&engine, id, &[1]).await;
    assert_eq!((report.incarnation, report.abandoned), (2, 3));
    assert_eq!(report.signed_size, signed.size);
    let verified = engine.verify(&me, id).await.unwrap().unwrap();
    assert_eq!(
        (verified.abandoned, verified.incarnation),
        (report.abandoned, 2)
    );
    assert!(
        lost.size > report.entries - 15,
        "some of what is given up lies behind the restore"
    );

    let again = engine
        .acknowledge_restore(&me, id, "again", &[])
        .await
        .unwrap_err();
    assert!(matches!(
        again.kind(),
        ErrorKind::Conflict {
            code: "not_on_hold",
            ..
        }
    ));
    engine.shutdown().await;
    unaware.shutdown().await;
    // What was acknowledged is settled.
    let engine = engine_with(backup.url(), exporting(5, directory.path())).await;
    engine.sign_checkpoint(&me, id).await.unwrap();
    visit(&engine, id, 300..301).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn a_restore_may_be_restored_from_again() {
    let database = database().await;
    let directory = tempfile::tempdir().unwrap();
    let me = Principal::system();
    let engine = engine_with(database.url(), exporting(1, directory.path())).await;
    let id = start(&engine, draft(&[2, 2])).await.id;
    visit(&engine, id, 0..5).await;
    engine.shutdown().await;
    drop(engine);
    let backups = [copy(&database).await, copy(&database).await];
    let engine = engine_with(database.url(), exporting(2, directory.path())).await;
    visit(&engine, id, 5..20).await;
    engine.sign_checkpoint(&me, id).await.unwrap();
    engine.shutdown().await;

    // Each time the same old copy: the second time, an incarnation is lost with it.
    for (seed, backup) in (3..).zip(&backups) {
        let engine = engine_with(backup.url(), exporting(seed, directory.path())).await;
        engine
            .acknowledge_restore(&me, id, "from the backup", &[])
            .await
            .unwrap();
        let more = usize::try_from(seed).unwrap() * 100;
        visit(&engine, id, more..more + 3).await;
        engine.sign_checkpoint(&me, id).await.unwrap();
        let report = audit(&engine, id, &[1]).await;
        assert_eq!(
            u64::from(report.incarnation),
            seed - 1,
            "never the same twice"
        );
        assert_eq!(report.abandoned, seed * 2 - 5);
        engine.verify(&me, id).await.unwrap().unwrap();
        engine.shutdown().await;
    }
}

/// Half of a bundle was fetched before the restore, of entries that the copy has: with the rest of
/// the restored trail it is a whole. Where the size was of the history that is given up, the parts
/// are of two trails, and the rest is refused or the whole says so.
#[tokio::test]
async fn a_bundle_in_parts_does_not_mix_histories_across_a_restore() {
    let database = database().await;
    let directory = tempfile::tempdir().unwrap();
    let me = Principal::system();
    let engine = engine_with(database.url(), exporting(1, directory.path())).await;
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..30).await;
    let common = engine.sign_checkpoint(&me, id).await.unwrap().size;
    engine.shutdown().await;
    drop(engine);
    let backup = copy(&database).await;
    let engine = engine_with(database.url(), exporting(2, directory.path())).await;
    visit(&engine, id, 30..60).await;
    let lost = engine.sign_checkpoint(&me, id).await.unwrap().size;
    let of = |after, size| BundleRange {
        after,
        size: Some(size),
    };
    // What had arrived when the connection broke: up to the line of an entry.
    let first = |whole: &[u8], entries: u64| {
        let mut count = 0;
        let lines = whole
            .split_inclusive(|byte| *byte == b'\n')
            .take_while(|line| {
                let is_within = count < entries;
                count += u64::from(line.windows(14).any(|w| w == b"\"kind\":\"entry\""));
                is_within
            });
        lines.collect::<Vec<_>>().concat()
    };
    let within = first(&bundle_of(&engine, id, of(0, common)).await, 10);
    let short = first(&bundle_of(&engine, id, of(0, lost)).await, 10);
    let long = first(&bundle_of(&engine, id, of(0, lost)).await, common + 5);
    engine.shutdown().await;

    let engine = engine_with(backup.url(), exporting(3, directory.path())).await;
    engine
        .acknowledge_restore(&me, id, "disk lost", &[])
        .await
        .unwrap();
    let verify = |parts: &[&[u8]]| {
        let options = Options {
            keys: vec![signer(1).verifying_key().clone()],
            replay: true,
            ..Options::default()
        };
        bundle::verify(parts.concat().as_slice(), options)
    };
    let rest = bundle_of(&engine, id, of(10, common)).await;
    assert_eq!(verify(&[&within, &rest]).unwrap().entries, common);
    // The restored trail does not reach as far yet: there is no such size.
    let Err(refused) = engine.bundle(&me, id, of(10, lost)).await else {
        panic!("the trail is shorter than that");
    };
    assert!(matches!(refused.kind(), ErrorKind::Invalid(_)), "{refused}");

    visit(&engine, id, 100..160).await;
    engine.sign_checkpoint(&me, id).await.unwrap();
    // Of what both have in common, the rest is that of the restored trail.
    let rest = bundle_of(&engine, id, of(10, lost)).await;
    let report = verify(&[&short, &rest]).unwrap();
    assert_eq!((report.entries, report.incarnation), (lost, 2));
    // Entries that were given up do not go with those that came instead.
    let rest = bundle_of(&engine, id, of(common + 5, lost)).await;
    let failure = verify(&[&long, &rest]).unwrap_err();
    assert_eq!(failure.sequence, Some(common + 6), "{failure}");
    engine.shutdown().await;
}
