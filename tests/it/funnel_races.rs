//! Visitors move through a funnel while servers race and connections break.

use std::sync::Arc;

use futures_util::future::join_all;
use samplit_domain::Installation;
use samplit_engine::{Engine, EngineConfig, ErrorKind, EventOutcome};
use samplit_store::funnel_visits::{self, NewFunnelVisit};
use samplit_store::{Database, Settings};
use samplit_tests::{config, connect, database, engine, engine_with, settings};

use crate::funnel_journeys::{activate, did, id, journeys, results, see, shop, visit};
use crate::pages::{account, install};

/// One visitor, whose browser tells two servers everything at the same moment and again until it is heard.
async fn wander(engines: [Engine; 2], site: Arc<Installation>, visitor: String) {
    let both = async |path: Option<&str>, number: u128| {
        let told = engines.iter().map(async |engine| match path {
            Some(path) => {
                see(engine, &site, &visitor, path).await;
                true
            }
            None => {
                let event = [did(id(6, number).0)];
                let visit = visit(&visitor, "https://shop.test/");
                let report = engine.page_events(&site, &visit, &event).await;
                report.is_ok_and(|outcomes| {
                    assert!(
                        matches!(
                            outcomes[0],
                            EventOutcome::Recorded | EventOutcome::Duplicate
                        ),
                        "{outcomes:?}"
                    );
                    true
                })
            }
        });
        join_all(told).await
    };
    for (path, number) in [
        (Some("/"), 1),
        (None, 2),
        (Some("/pricing"), 3),
        (None, 4),
        (None, 5),
    ] {
        while !both(path, number).await.contains(&true) {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_hear_of_one_visitor_at_once_make_one_journey() {
    let database = database().await;
    let engines = [
        engine(database.url(), 1).await,
        engine(database.url(), 2).await,
    ];
    let owner = account(&engines[0], "owner@example.org").await;
    let site = Arc::new(install(&engines[0], &owner).await);
    let funnel = activate(&engines[0], &owner, shop(6)).await;
    let visitors = (0..200).map(|number| {
        tokio::spawn(wander(
            engines.clone(),
            Arc::clone(&site),
            format!("visitor-{number}"),
        ))
    });
    for visitor in visitors.collect::<Vec<_>>() {
        visitor.await.unwrap();
    }
    let client = connect(database.url()).await;
    let journeys = journeys(&client).await;
    assert_eq!(journeys.len(), 200);
    assert!(
        journeys.values().all(|steps| *steps == [1, 2, 3, 4, 5]),
        "{journeys:?}"
    );
    let results = results(&engines[1], &owner, &funnel).await;
    assert_eq!((results.entered, results.converted), (200, 200));
    for engine in engines {
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_lose_no_step_and_count_none_twice() {
    let database = database().await;
    let start = async |seed| {
        let settings = Settings {
            recovery_timeout: std::time::Duration::from_millis(20),
            ..settings(database.url())
        };
        let database = Database::connect(settings).await.unwrap();
        Engine::start(database, config(seed)).await.unwrap()
    };
    let engines = [start(1).await, start(2).await];
    let owner = account(&engines[0], "owner@example.org").await;
    let site = Arc::new(install(&engines[0], &owner).await);
    let funnel = activate(&engines[0], &owner, shop(6)).await;
    let client = connect(database.url()).await;
    let mut cut = 0;
    for round in 0..10 {
        let visitors = (0..20).map(|number| {
            let name = format!("visitor-{round}-{number}");
            tokio::spawn(persist(engines.clone(), Arc::clone(&site), name))
        });
        let visitors: Vec<_> = visitors.collect();
        while !visitors.iter().all(tokio::task::JoinHandle::is_finished) {
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid() \
                AND (query LIKE '%FUNNEL%' OR query LIKE 'COMMIT%')";
            if cut < 60 {
                cut += client.query_one(kill, &[]).await.unwrap().get::<_, i64>(0);
            }
            tokio::task::yield_now().await;
        }
        for visitor in visitors {
            visitor.await.unwrap();
        }
    }
    assert!(cut > 10, "{cut}");
    let journeys = journeys(&client).await;
    assert_eq!(journeys.len(), 200);
    assert!(
        journeys.values().all(|steps| *steps == [1, 2, 3, 4, 5]),
        "{journeys:?}"
    );
    let results = results(&engines[1], &owner, &funnel).await;
    assert_eq!((results.entered, results.converted), (200, 200));
    for engine in engines {
        engine.shutdown().await;
    }
}

/// One visitor, whose browser tells a server, and another one where that fails, until each step is heard.
async fn persist(engines: [Engine; 2], site: Arc<Installation>, visitor: String) {
    for (path, number) in [("/", 2), ("/pricing", 4), ("/pricing", 5)] {
        for engine in engines.iter().cycle() {
            // Whether this was recorded, the page does not say; the next step does.
            see(engine, &site, &visitor, path).await;
            let event = [did(id(6, number).0)];
            let visit = visit(&visitor, "https://shop.test/");
            match engine.page_events(&site, &visit, &event).await {
                Ok(outcomes) if matches!(outcomes[0], EventOutcome::NotReached) => {}
                Ok(outcomes) => {
                    let is_heard = matches!(
                        outcomes[0],
                        EventOutcome::Recorded | EventOutcome::Duplicate
                    );
                    assert!(is_heard, "{outcomes:?}");
                    break;
                }
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Unavailable { .. }
                            | ErrorKind::OutcomeUnknown
                            | ErrorKind::Overloaded
                    ),
                    "{error:?}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn a_page_does_not_wait_for_its_step_which_is_recorded_all_the_same() {
    let database = database().await;
    let impatient = EngineConfig {
        step_patience: std::time::Duration::ZERO,
        ..config(1)
    };
    let engine = engine_with(database.url(), impatient).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    activate(&engine, &owner, shop(6)).await;
    let client = connect(database.url()).await;
    let lock = "BEGIN; LOCK TABLE funnel_visits IN ACCESS EXCLUSIVE MODE";
    client.batch_execute(lock).await.unwrap();
    // Nothing can be read of journeys now.
    assert_eq!(see(&engine, &site, "a", "/").await.steps, []);
    let (owner, form) = (owner.user_id.unwrap(), Some("demo"));
    let left = visit("a", "https://shop.test/");
    engine.lead_captured(owner, &left, form).await.unwrap();
    client.batch_execute("COMMIT").await.unwrap();
    // What is reported waits, and comes behind the page.
    let event = [did(id(6, 2).0)];
    let visit = visit("a", "https://shop.test/");
    let outcomes = engine.page_events(&site, &visit, &event).await.unwrap();
    assert!(
        matches!(outcomes[0], EventOutcome::Recorded),
        "{outcomes:?}"
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn nobody_pauses_a_funnel_in_the_middle_of_a_beginning() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let funnel = activate(&engine, &owner, shop(6)).await;
    let client = connect(database.url()).await;
    let begun = [NewFunnelVisit {
        funnel_id: funnel.id,
        id: engine.new_id(),
        visitor: "a".to_owned(),
        entered_at: time::OffsetDateTime::UNIX_EPOCH,
        node: id(6, 1),
    }];
    let pool = Database::connect(settings(database.url())).await.unwrap();
    let (begun, client, funnel) = (&begun, &client, &funnel);
    let refused: Result<bool, samplit_store::Error> = pool
        .run_tx("test", |session| {
            Box::pin(async move {
                funnel_visits::enter(session, begun).await?;
                let pause = "SELECT FROM funnels WHERE id = $1 FOR NO KEY UPDATE NOWAIT";
                Ok(client.query(pause, &[&funnel.id.0]).await.is_err())
            })
        })
        .await;
    assert!(refused.unwrap());
    engine.shutdown().await;
}
