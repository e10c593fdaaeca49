//! PostgreSQL away, a crowd, a row that is refused: what callers are told, and what is in the
//! database afterwards. Processes, disks and networks that break under load are in `tests/faults`.

use std::time::Duration;

use samplit_devpg::{DevPg, Mode};
use samplit_engine::{Engine, EngineConfig, ErrorKind, NotRecorded, Principal};
use samplit_store::{BreakerState, Database, Settings};
use samplit_tests::{config, connect, database, draft, engine_with, eventually, settings, start};

use crate::{conversion, visitor};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgresql_is_away_known_visitors_are_served_and_new_ones_get_control() {
    // Durable, or the crash would take the experiment with it.
    let pg = DevPg::start().await.unwrap();
    pg.create_database("samplit").await.unwrap();
    let url = pg.url("samplit");
    let mut client = connect(&url).await;
    samplit_sql::up(&mut client, &samplit_sql::Options::default())
        .await
        .unwrap();
    let recovery_timeout = Duration::from_millis(200);
    let database = Database::connect(Settings {
        recovery_timeout,
        ..settings(&url)
    })
    .await
    .unwrap();
    let engine = Engine::start(database.clone(), config(1)).await.unwrap();
    let me = Principal::system();
    let experiment = start(&engine, draft(&[2])).await;
    let id = experiment.id;
    let known = engine.assign(&me, id, visitor("known")).await.unwrap();

    pg.stop(Mode::Immediate).await.unwrap();
    // More than the five failures that open the breaker.
    for number in 0..8 {
        let new = engine
            .assign(&me, id, visitor(format!("new-{number}")))
            .await
            .unwrap();
        assert_eq!(new.reason, Some(NotRecorded::Degraded));
        assert_eq!(
            new.variants[0], experiment.elements[0].variants[0].id,
            "control"
        );
        assert_eq!(new.assignment_id, None);
    }
    assert_eq!(database.breaker_state(), BreakerState::Open);
    let again = engine.assign(&me, id, visitor("known")).await.unwrap();
    assert_eq!((again.variants, again.reason), (known.variants, None));
    let refused = engine
        .convert(&me, id, conversion("known"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused.kind(), ErrorKind::Unavailable { .. }),
        "{refused:?}"
    );

    pg.restart().await.unwrap();
    eventually(async || {
        let back = engine.assign(&me, id, visitor("back")).await.unwrap();
        back.in_experiment
    })
    .await;
    assert_eq!(database.breaker_state(), BreakerState::Closed);
    engine.convert(&me, id, conversion("known")).await.unwrap();
    let report = engine.verify(&me, id).await.unwrap().unwrap();
    assert_eq!(
        report.replay.unwrap().assignments,
        2,
        "nothing of the outage was recorded"
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_at_once_and_records_nothing_of_it() {
    const PLACES: usize = 8;
    let database = database().await;
    let engine = engine_with(
        database.url(),
        EngineConfig {
            queue_capacity: PLACES,
            lanes: 1,
            ..config(1)
        },
    )
    .await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;

    // Somebody holds the head, so nothing moves.
    let mut client = connect(database.url()).await;
    let tx = client.transaction().await.unwrap();
    tx.query("SELECT * FROM audit_heads FOR UPDATE", &[])
        .await
        .unwrap();
    let visit = |number: usize| {
        let (engine, me) = (engine.clone(), me.clone());
        async move {
            engine
                .assign(&me, id, visitor(format!("visitor-{number}")))
                .await
        }
    };
    let waiting: Vec<_> = (0..PLACES)
        .map(|number| tokio::spawn(visit(number)))
        .collect();
    eventually(async || engine.waiting(id) == Some(PLACES)).await;
    let refused = visit(PLACES).await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Overloaded);
    tx.rollback().await.unwrap();
    for visit in waiting {
        assert!(visit.await.unwrap().unwrap().is_new);
    }
    let rows = client
        .query_one("SELECT count(*) FROM assignments", &[])
        .await
        .unwrap();
    assert_eq!(usize::try_from(rows.get::<_, i64>(0)).unwrap(), PLACES);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_row_does_not_take_its_neighbours_down() {
    let database = database().await;
    let engine = engine_with(
        database.url(),
        EngineConfig {
            lanes: 1,
            ..config(1)
        },
    )
    .await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    let mut client = connect(database.url()).await;
    client
        .batch_execute(
            "CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.user_identifier = 'poison' THEN RAISE EXCEPTION 'no'; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER refuse_poison BEFORE INSERT ON assignments FOR EACH ROW \
             EXECUTE FUNCTION refuse_poison()",
        )
        .await
        .unwrap();
    // The first one waits for the head that we hold, so the others meet in one batch behind it.
    let tx = client.transaction().await.unwrap();
    tx.query("SELECT * FROM audit_heads FOR UPDATE", &[])
        .await
        .unwrap();
    let visit = |number: usize| {
        let name = if number == 10 {
            "poison".to_owned()
        } else {
            format!("v-{number}")
        };
        let (engine, me) = (engine.clone(), me.clone());
        tokio::spawn(async move { (number, engine.assign(&me, id, visitor(name)).await) })
    };
    let mut visits = vec![visit(0)];
    let watcher = connect(database.url()).await;
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
        AND datname = current_database()";
    eventually(async || {
        watcher
            .query_one(blocked, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 1
    })
    .await;
    visits.extend((1..21).map(visit));
    // Every visit has taken its place in the line before the head is free.
    eventually(async || engine.waiting(id) == Some(21)).await;
    tx.rollback().await.unwrap();
    for visit in visits {
        let (number, outcome) = visit.await.unwrap();
        match number {
            10 => assert_eq!(outcome.unwrap_err().kind(), &ErrorKind::Internal),
            _ => assert!(outcome.unwrap().in_experiment),
        }
    }
    engine.verify(&me, id).await.unwrap().unwrap();
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_not_to_be_had_does_not_hold_up_other_experiments() {
    let database = database().await;
    let quick = Settings {
        lock_timeout: Duration::from_millis(200),
        ..settings(database.url())
    };
    let store = Database::connect(quick).await.unwrap();
    let engine = Engine::start(
        store,
        EngineConfig {
            lanes: 1,
            ..config(1)
        },
    )
    .await
    .unwrap();
    let me = Principal::system();
    let (stuck, free) = (
        start(&engine, draft(&[2])).await.id,
        start(&engine, draft(&[2])).await.id,
    );
    let mut client = connect(database.url()).await;
    let tx = client.transaction().await.unwrap();
    tx.query(
        "SELECT * FROM audit_heads WHERE experiment_id = $1 FOR UPDATE",
        &[&stuck.0],
    )
    .await
    .unwrap();
    let visits = (0..20).map(|number| {
        let id = if number % 2 == 0 { stuck } else { free };
        let (engine, me) = (engine.clone(), me.clone());
        tokio::spawn(async move {
            (
                id,
                engine.assign(&me, id, visitor(format!("v-{number}"))).await,
            )
        })
    });
    for visit in visits.collect::<Vec<_>>() {
        let (id, answer) = visit.await.unwrap();
        if id == stuck {
            assert_eq!(answer.unwrap_err().kind(), &ErrorKind::Overloaded);
        } else {
            assert!(answer.unwrap().in_experiment);
        }
    }
    tx.rollback().await.unwrap();
    assert!(
        engine
            .assign(&me, stuck, visitor("later"))
            .await
            .unwrap()
            .is_new
    );
    engine.verify(&me, stuck).await.unwrap().unwrap();
    engine.shutdown().await;
}
