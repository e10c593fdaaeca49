//! Exclusion rules over several engines: how soon another one knows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use samplit_domain::{Assign, ExclusionKind, ManualClock, from_micros};
use samplit_engine::{Engine, EngineConfig, NewExclusion, NotRecorded};
use samplit_tests::{config, connect, database, engine, engine_with, eventually};
use time::Duration;

use crate::pages::{account, on_page, run};

#[tokio::test]
async fn another_engine_knows_a_rule_once_it_reads_again() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let with_clock = |seed| EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..config(seed)
    };
    let engine = engine_with(database.url(), with_clock(1)).await;
    let other = engine_with(database.url(), with_clock(2)).await;
    let owner = account(&engine, "owner@example.org").await;
    let experiment = run(&engine, &owner, on_page("pricing")).await;
    let ask = async |engine: &Engine, visitor: &str| {
        let mut request = Assign {
            visitor: visitor.to_owned(),
            ..Assign::default()
        };
        request
            .context
            .insert("ip".to_owned(), "203.0.113.9".into());
        let assigned = engine.assign(&owner, experiment.id, request).await;
        assigned.unwrap().reason
    };
    assert_eq!(ask(&other, "before").await, None);
    let rule = NewExclusion {
        experiment_id: None,
        kind: ExclusionKind::Cidr,
        value: "203.0.113.0/24".to_owned(),
        is_active: true,
    };
    engine.create_exclusion(&owner, rule).await.unwrap();
    assert_eq!(ask(&engine, "a").await, Some(NotRecorded::Excluded));
    assert_eq!(ask(&other, "b").await, None, "still believed");
    clock.advance(Duration::minutes(1));
    let visitors = AtomicU32::new(0);
    eventually(async || {
        let number = visitors.fetch_add(1, Ordering::Relaxed);
        ask(&other, &format!("v{number}")).await == Some(NotRecorded::Excluded)
    })
    .await;
    // Whoever was counted stays.
    assert_eq!(ask(&other, "before").await, None);
}

#[tokio::test]
async fn of_too_many_excluded_sessions_the_newest_stay() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let experiment = run(&engine, &owner, on_page("pricing")).await;
    let rule = NewExclusion {
        experiment_id: Some(experiment.id),
        kind: ExclusionKind::Visitor,
        value: "ann".to_owned(),
        is_active: true,
    };
    engine.create_exclusion(&owner, rule).await.unwrap();
    let client = connect(database.url()).await;
    let made_up = "INSERT INTO excluded_sessions (experiment_id, session_id, reason, excluded_at) \
        SELECT $1, n::text, 'excluded', '2001-01-01'::timestamptz + n * interval '1 s' \
        FROM generate_series(1, 10004) AS n";
    client.execute(made_up, &[&experiment.id.0]).await.unwrap();
    let ann = || Assign {
        visitor: "ann".to_owned(),
        ..Assign::default()
    };
    for _ in 0..2 {
        let assigned = engine.assign(&owner, experiment.id, ann()).await.unwrap();
        assert_eq!(assigned.reason, Some(NotRecorded::Excluded));
    }
    let kept = "SELECT count(*), min(session_id::int)::bigint, \
        count(*) FILTER (WHERE user_identifier = 'ann') FROM excluded_sessions";
    eventually(async || {
        let row = client.query_one(kept, &[]).await.unwrap();
        let (all, oldest, anns): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        (all, oldest, anns) == (10_000, 6, 1)
    })
    .await;
}
