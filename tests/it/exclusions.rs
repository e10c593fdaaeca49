//! Exclusion rules over several engines: how soon another one knows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use samplit_domain::{Assign, ExclusionKind, ManualClock, from_micros};
use samplit_engine::{Engine, EngineConfig, NewExclusion, NotRecorded};
use samplit_tests::{config, database, engine_with, eventually};
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
