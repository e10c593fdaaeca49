//! The restore drill: what was backed up under load comes back whole, and the doctor finds nothing.

use std::fs::File;
use std::process::{Command, Stdio};

use samplit_devpg::{DevPg, TestDatabase};
use samplit_engine::{Assign, Convert, Engine, ExperimentId, Principal};
use samplit_tests::{draft, engine, start};

use crate::{code, command, empty, run, sql, stderr};

/// A database with a running experiment, visitors and conversions, and the engine that made them.
async fn with_visitors() -> (TestDatabase, Engine, ExperimentId) {
    let database = empty().await;
    assert_eq!(code(&run(&database, &["up"])), 0);
    let engine = engine(database.url(), 1).await;
    let experiment = start(&engine, draft(&[2])).await.id;
    visit(&engine, experiment, 0).await;
    (database, engine, experiment)
}

async fn visit(engine: &Engine, experiment: ExperimentId, from: usize) {
    let me = Principal::system();
    for number in from..from + 50 {
        let visitor = format!("visitor-{number}");
        let assign = Assign {
            visitor: visitor.clone(),
            ..Assign::default()
        };
        engine.assign(&me, experiment, assign).await.unwrap();
        if number % 2 == 0 {
            let convert = Convert {
                visitor,
                ..Convert::default()
            };
            engine.convert(&me, experiment, convert).await.unwrap();
        }
    }
}

/// The restored database is sound, knows its visitors, and goes on.
async fn goes_on(target: &TestDatabase, experiment: ExperimentId) {
    let engine = engine(target.url(), 2).await;
    for check in engine.doctor().await.unwrap() {
        assert!(check.is_passed(), "{}: {:?}", check.name, check.findings);
    }
    let me = Principal::system();
    let known = Assign {
        visitor: "visitor-7".to_owned(),
        ..Assign::default()
    };
    let known = engine.assign(&me, experiment, known).await.unwrap();
    assert!(!known.is_new && known.in_experiment);
    visit(&engine, experiment, 1_000).await;
    let verdict = engine.verify(&me, experiment).await.unwrap();
    assert!(verdict.is_ok(), "{verdict:?}");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_backup_comes_back_whole_and_goes_on() {
    let (source, engine, experiment) = with_visitors().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("samplit.dump");
    let file = file.to_str().unwrap();
    // Taken while visitors arrive: the dump is one moment.
    let mut backup = command(&["backup", file]);
    backup
        .env("SAMPLIT_DATABASE_URL", source.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let backup = backup.spawn().unwrap();
    visit(&engine, experiment, 100).await;
    let backup = backup.wait_with_output().unwrap();
    assert_eq!(code(&backup), 0, "{}", stderr(&backup));
    engine.shutdown().await;

    let target = empty().await;
    let restored = run(&target, &["restore", file]);
    assert_eq!(code(&restored), 0, "{}", stderr(&restored));
    goes_on(&target, experiment).await;

    // The drill is worth something only if it finds what is wrong.
    sql(
        &target,
        "UPDATE assignments SET converted_at = NULL, conversion_seq = NULL \
         WHERE user_identifier = 'visitor-0'",
    )
    .await;
    let engine = samplit_tests::engine(target.url(), 3).await;
    let checks = engine.doctor().await.unwrap();
    assert!(checks.iter().any(|check| !check.is_passed()));
    engine.shutdown().await;
}

#[tokio::test]
async fn the_plain_psql_lines_do_it_too() {
    let (source, engine, experiment) = with_visitors().await;
    engine.shutdown().await;
    let pg = DevPg::shared().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.sql");
    // pg_dump -U postgres -d samplit > backup.sql
    let dumped = Command::new(pg.bin("pg_dump"))
        .args(["-d", source.url()])
        .stdout(File::create(&file).unwrap())
        .status();
    assert!(dumped.unwrap().success());
    // psql -U postgres -d samplit < backup.sql
    let target = empty().await;
    let loaded = Command::new(pg.bin("psql"))
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", target.url()])
        .stdin(File::open(&file).unwrap())
        .stdout(Stdio::null())
        .status();
    assert!(loaded.unwrap().success());
    let verified = run(&target, &["verify"]);
    assert_eq!(code(&verified), 0, "{}", stderr(&verified));
    goes_on(&target, experiment).await;
}
