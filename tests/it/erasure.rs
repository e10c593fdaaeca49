//! Erasing visitors: what goes, what stays, and that nobody slips in a second time.

use std::collections::BTreeMap;
use std::time::Duration;

use samplit_engine::{Engine, ErrorKind, Experiment, NotRecorded, Principal, Role, Transition};
use samplit_store::{Database, Settings};
use samplit_tests::{config, connect, database, draft, engine, eventually, settings, start, step};

use crate::pages::account;
use crate::{conversion, sound, visitor};

#[tokio::test]
async fn identifier_and_context_go_and_counts_stay() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let (first, second) = (
        start(&engine, draft(&[2])).await,
        start(&engine, draft(&[2, 3])).await,
    );
    for experiment in [&first, &second] {
        for name in ["anna", "bert"] {
            let mut asked = visitor(name);
            asked.session = Some("session".to_owned());
            asked.context.insert("device".to_owned(), "phone".into());
            engine.assign(&me, experiment.id, asked).await.unwrap();
        }
        engine
            .convert(&me, experiment.id, conversion("anna"))
            .await
            .unwrap();
    }
    let client = connect(database.url()).await;
    let rest = format!(
        "INSERT INTO leads (email, user_identifier, submission_key, utm_term, utm_content)
         VALUES ('anna@example.org', 'anna', 'key', 'anna', 'anna');
         INSERT INTO excluded_sessions (experiment_id, session_id, user_identifier, reason)
         VALUES ('{}', 's', 'anna', 'bot');",
        first.id
    );
    client.batch_execute(&rest).await.unwrap();

    let done = engine.erase_visitor(&me, "anna").await.unwrap();
    assert_eq!((done.experiments, done.rows), (2, 4));
    let again = engine.erase_visitor(&me, "anna").await.unwrap();
    assert_eq!((again.experiments, again.rows), (0, 0));

    let left = "SELECT (SELECT count(*) FROM assignments WHERE user_identifier = 'anna' \
        OR context <> '{}' AND user_identifier <> 'bert')::int8, \
        (SELECT count(*) FROM assignments WHERE user_identifier = 'erased:' || id \
        AND session_id IS NULL AND conversion_event_id IS NULL AND converted_at IS NOT NULL)::int8, \
        (SELECT count(*) FROM leads WHERE coalesce(email, user_identifier, submission_key, \
        utm_term, utm_content) IS NOT NULL)::int8, \
        (SELECT count(*) FROM excluded_sessions WHERE user_identifier = 'anna')::int8";
    let left = client.query_one(left, &[]).await.unwrap();
    let left: Vec<i64> = (0..4).map(|column| left.get(column)).collect();
    assert_eq!(left, [0, 2, 0, 0]);

    for experiment in [&first, &second] {
        let id = experiment.id;
        let returned = engine.assign(&me, id, visitor("anna")).await.unwrap();
        assert_eq!(returned.reason, Some(NotRecorded::Erased));
        assert!(!returned.in_experiment);
        assert_eq!(returned.variants.to_vec(), experiment.winners(), "control");
        let refused = engine
            .convert(&me, id, conversion("anna"))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), &ErrorKind::NotAssigned);
        let other = engine.assign(&me, id, visitor("bert")).await.unwrap();
        assert!(other.in_experiment && !other.is_new);
        let results = engine.results(&me, id).await.unwrap();
        assert_eq!((results.visitors, results.conversions), (2, 1));
        sound(&engine, id).await;
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn what_is_left_undone_is_done_by_the_next_call() {
    let database = database().await;
    let settings = Settings {
        lock_timeout: Duration::from_millis(200),
        ..settings(database.url())
    };
    let store = Database::connect(settings).await.unwrap();
    let engine = Engine::start(store, config(1)).await.unwrap();
    let me = Principal::system();
    let ids = [
        start(&engine, draft(&[2])).await.id,
        start(&engine, draft(&[2])).await.id,
    ];
    for id in ids {
        engine.assign(&me, id, visitor("anna")).await.unwrap();
    }
    let held = connect(database.url()).await;
    let lock = format!(
        "BEGIN; SELECT FROM audit_heads WHERE experiment_id = '{}' FOR UPDATE",
        ids[0]
    );
    held.batch_execute(&lock).await.unwrap();
    let refused = engine.erase_visitor(&me, "anna").await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Overloaded);
    let seen = engine.assign(&me, ids[1], visitor("anna")).await.unwrap();
    assert_eq!(
        seen.reason,
        Some(NotRecorded::Erased),
        "the other one is done"
    );
    held.batch_execute("ROLLBACK").await.unwrap();
    let rest = engine.erase_visitor(&me, "anna").await.unwrap();
    assert_eq!((rest.experiments, rest.rows), (1, 1));
    for id in ids {
        sound(&engine, id).await;
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn other_engines_forget_and_other_accounts_are_left_alone() {
    let database = database().await;
    let here = engine(database.url(), 1).await;
    let there = engine(database.url(), 2).await;
    let me = Principal::system();
    let experiment = start(&here, draft(&[2])).await;
    let id = experiment.id;
    assert!(there.assign(&me, id, visitor("anna")).await.unwrap().is_new);

    let stranger = account(&here, "stranger@example.org").await;
    let nothing = here.erase_visitor(&stranger, "anna").await.unwrap();
    assert_eq!((nothing.experiments, nothing.rows), (0, 0));
    assert!(
        there
            .assign(&me, id, visitor("anna"))
            .await
            .unwrap()
            .in_experiment
    );

    let done = here.erase_visitor(&me, "anna").await.unwrap();
    assert_eq!((done.experiments, done.rows), (1, 1));
    eventually(async || {
        let seen = there.assign(&me, id, visitor("anna")).await.unwrap();
        seen.reason == Some(NotRecorded::Erased)
    })
    .await;
    for engine in [here, there] {
        engine.shutdown().await;
    }
}

/// Nothing is theirs, so nothing could be erased; nobody should take an answer for an erasure.
#[tokio::test]
async fn a_client_without_an_account_is_refused() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let id = start(&engine, draft(&[2])).await.id;
    let me = Principal::system();
    engine.assign(&me, id, visitor("anna")).await.unwrap();
    let nobody = Principal {
        role: Role::Client,
        ..Principal::system()
    };
    let refused = engine.erase_visitor(&nobody, "anna").await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::NotFound("account"));
    let seen = engine.assign(&me, id, visitor("anna")).await.unwrap();
    assert!(seen.in_experiment && !seen.is_new, "she is still there");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_name_that_stands_for_somebody_erased_is_refused() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    let refusals = [
        engine
            .assign(&me, id, visitor("erased:1"))
            .await
            .unwrap_err(),
        engine
            .convert(&me, id, conversion("erased:1"))
            .await
            .unwrap_err(),
        engine.erase_visitor(&me, "erased:1").await.unwrap_err(),
    ];
    for refused in refusals {
        let ErrorKind::Invalid(violations) = refused.kind() else {
            panic!("{refused:?}");
        };
        assert_eq!(violations.0[0].code, "reserved");
    }
    engine.shutdown().await;
}

/// Asks for every visitor over and over, and reports conversions.
async fn insist(engine: Engine, experiment: Experiment, rounds: usize) {
    let me = Principal::system();
    for round in 0..rounds {
        for number in 0..VISITORS {
            let name = format!("v{number}");
            let seen = engine
                .assign(&me, experiment.id, visitor(&name))
                .await
                .unwrap();
            let is_known = seen.in_experiment || seen.reason == Some(NotRecorded::Erased);
            assert!(is_known, "{:?}", seen.reason);
            if (number + round) % 3 == 0 {
                match engine.convert(&me, experiment.id, conversion(&name)).await {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), &ErrorKind::NotAssigned),
                }
            }
        }
    }
}

const VISITORS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_assigned_twice_whatever_the_race() {
    let database = database().await;
    let engines = [
        engine(database.url(), 1).await,
        engine(database.url(), 2).await,
    ];
    let experiment = start(&engines[0], draft(&[3])).await;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let engine = engines[task % 2].clone();
        tasks.push(tokio::spawn(insist(engine, experiment.clone(), 6)));
    }
    for (task, engine) in engines.iter().enumerate() {
        let engine = engine.clone();
        tasks.push(tokio::spawn(async move {
            let me = Principal::system();
            for number in (0..VISITORS).filter(|number| number % 4 != 3) {
                if number % 2 == task {
                    engine
                        .erase_visitor(&me, &format!("v{number}"))
                        .await
                        .unwrap();
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // Every entry names another visitor, every visitor has one row, and the counts agree.
    let report = sound(&engines[0], experiment.id).await;
    let replay = report.replay.unwrap();
    let client = connect(database.url()).await;
    let counted = "SELECT (SELECT count(*) FROM assignments)::int8, \
        (SELECT count(*) FROM erasures)::int8, \
        (SELECT count(*) FROM assignments WHERE user_identifier LIKE 'erased:%')::int8";
    let counted = client.query_one(counted, &[]).await.unwrap();
    let counted: [i64; 3] = [counted.get(0), counted.get(1), counted.get(2)];
    // One who was erased before the first visit was nobody; all others have one row for ever.
    assert_eq!(u64::try_from(counted[0]).unwrap(), replay.assignments);
    assert_eq!(counted[0], i64::try_from(VISITORS).unwrap());
    assert_eq!(counted[1], counted[2]);
    for engine in engines {
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn archiving_destroys_the_key_and_everything_still_verifies() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[2])).await;
    let id = experiment.id;
    for name in ["anna", "bert"] {
        engine.assign(&me, id, visitor(name)).await.unwrap();
    }
    engine.erase_visitor(&me, "anna").await.unwrap();
    engine
        .transition(&me, id, Transition::Complete, BTreeMap::new(), None)
        .await
        .unwrap();
    step(&engine, &experiment, Transition::Archive).await;
    let client = connect(database.url()).await;
    let destroyed = "SELECT pid_key_sealed IS NULL FROM experiment_keys";
    let destroyed: bool = client.query_one(destroyed, &[]).await.unwrap().get(0);
    assert!(destroyed);
    sound(&engine, id).await;

    // The row can still be erased; nobody can say any longer whose pseudonym it had.
    let done = engine.erase_visitor(&me, "bert").await.unwrap();
    assert_eq!((done.experiments, done.rows), (1, 1));
    let known: i64 = client
        .query_one("SELECT count(*) FROM erasures", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(known, 1);
    sound(&engine, id).await;
    engine.shutdown().await;
}
