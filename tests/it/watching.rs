//! Results for those who watch: how often the database is asked, and what everybody gets.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use samplit_devpg::DevPg;
use samplit_engine::{
    Engine, EngineConfig, ErrorKind, Experiment, LiveResults, Principal, ResultsWatch, Transition,
};
use samplit_tests::{config, connect, database, draft, engine_with, eventually, start, step};
use tokio::time::Instant;

use crate::{conversion, visitor};

const EVERY: Duration = Duration::from_millis(50);

fn watching() -> EngineConfig {
    EngineConfig {
        watch_every: EVERY,
        ..config(1)
    }
}

/// Assigns `count` visitors, the first half of whom convert.
async fn visit(engine: &Engine, experiment: &Experiment, wave: usize, count: usize) {
    let me = Principal::system();
    for number in 0..count {
        let name = format!("visitor-{wave}-{number}");
        let asked = engine.assign(&me, experiment.id, visitor(&name)).await;
        asked.unwrap();
        if number < count / 2 {
            let told = engine.convert(&me, experiment.id, conversion(&name)).await;
            told.unwrap();
        }
    }
}

/// What is seen until `visitors` visitors with half as many conversions are.
async fn until(watch: &mut ResultsWatch, visitors: u64) -> Vec<Arc<LiveResults>> {
    let mut seen = Vec::new();
    loop {
        let newest = watch.next().await.expect("the engine runs");
        let results = &newest.results;
        let is_all = results.visitors == visitors && results.conversions == visitors / 2;
        seen.push(newest);
        if is_all {
            return seen;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_watchers_cost_one_statement_per_look() {
    // A cluster of its own, whose log holds nothing of other tests.
    let pg = DevPg::start().await.unwrap();
    pg.create_database("watched").await.unwrap();
    let url = pg.url("watched");
    let mut client = connect(&url).await;
    let options = samplit_sql::Options::default();
    samplit_sql::up(&mut client, &options).await.unwrap();
    client
        .batch_execute("ALTER DATABASE watched SET log_statement = 'all'")
        .await
        .unwrap();
    let engine = engine_with(&url, watching()).await;
    let me = Principal::system();
    let experiments = [
        start(&engine, draft(&[2])).await,
        start(&engine, draft(&[3])).await,
    ];
    let log = || std::fs::read_to_string(pg.directory().join("log")).unwrap();
    let count = |log: &str, name: &str| log.matches(&format!("-- {name}\n")).count();

    let began = Instant::now();
    let mut watches = Vec::new();
    for experiment in &experiments {
        for _ in 0..100 {
            watches.push(engine.watch_results(&me, experiment.id).await.unwrap());
        }
    }
    assert_eq!(engine.watched(), 2);
    for watch in &mut watches {
        let first = watch.next().await.unwrap();
        assert_eq!(first.results.visitors, 0);
    }
    for wave in 0..5 {
        for experiment in &experiments {
            visit(&engine, experiment, wave, 20).await;
        }
    }
    let seen = join_all(watches.iter_mut().map(|watch| until(watch, 100))).await;
    // All of them hold one and the same.
    for of_experiment in seen.chunks(100) {
        let last = of_experiment[0].last().unwrap();
        for seen in of_experiment {
            assert!(Arc::ptr_eq(seen.last().unwrap(), last));
        }
    }
    drop(watches);
    eventually(async || engine.watched() == 0).await;
    let took = began.elapsed();
    let text = log();
    // Looks of one experiment are at least that far apart.
    let looks = usize::try_from(took.as_millis() / EVERY.as_millis()).unwrap() + 2;
    let pulses = count(&text, "READ_PULSE");
    assert!(
        (4..=2 * looks).contains(&pulses),
        "{pulses} looks in {took:?}"
    );
    // And what results are made of is read at most once per look.
    let read = count(&text, "READ_STATISTICS");
    assert!((4..=pulses).contains(&read), "{read} of {pulses}");

    // Where nothing moves, nothing but the one row is read; where nobody watches, nothing at all.
    let mut watch = engine.watch_results(&me, experiments[0].id).await.unwrap();
    watch.next().await.unwrap();
    let before = log().len();
    eventually(async || count(&log()[before..], "READ_PULSE") >= 5).await;
    assert_eq!(count(&log()[before..], "READ_STATISTICS"), 0);
    drop(watch);
    eventually(async || engine.watched() == 0).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_later_gets_what_is_known_and_every_step_of_the_lifecycle() {
    let database = database().await;
    let engine = engine_with(database.url(), watching()).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[2])).await;
    visit(&engine, &experiment, 0, 10).await;
    let mut first = engine.watch_results(&me, experiment.id).await.unwrap();
    let seen = until(&mut first, 10).await;
    let mut second = engine.watch_results(&me, experiment.id).await.unwrap();
    assert!(Arc::ptr_eq(
        &second.next().await.unwrap(),
        seen.last().unwrap()
    ));

    let paused = step(&engine, &experiment, Transition::Pause).await;
    for watch in [&mut first, &mut second] {
        let newest = watch.next().await.unwrap();
        assert_eq!(newest.results.experiment.status, paused.status);
    }
    // What is read once is what is watched.
    let once = engine.live_results(&me, experiment.id).await.unwrap();
    assert_eq!(
        once.results.elements[0].arms,
        seen[0].results.elements[0].arms
    );
    let last = once.course.draws[0].points.last().unwrap();
    let arms = &once.results.elements[0].arms;
    for (rate, arm) in last.rates.iter().zip(arms) {
        assert_eq!(*rate, arm.evidence.always_valid);
    }
    let periods = &once.course.draws[0].periods;
    let visitors: u64 = periods
        .iter()
        .flat_map(|p| &p.arms)
        .map(|a| a.visitors)
        .sum();
    assert_eq!(visitors, 10);

    // The end of the engine is the end of watching.
    engine.shutdown().await;
    assert!(first.next().await.is_none());
    let refused = engine.watch_results(&me, experiment.id).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Unavailable { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_and_the_experiment_of_somebody_else_cannot_be_watched() {
    let database = database().await;
    let engine = engine_with(database.url(), watching()).await;
    let me = Principal::system();
    let one = engine.create_experiment(&me, draft(&[2])).await.unwrap();
    let refused = engine.watch_results(&me, one.id).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::NotRunning(_)));
    let started = start(&engine, draft(&[2])).await;
    let stranger = crate::pages::account(&engine, "stranger@example.org").await;
    let refused = engine.watch_results(&stranger, started.id).await;
    assert!(matches!(
        refused.unwrap_err().kind(),
        ErrorKind::NotFound(_)
    ));
    assert_eq!(engine.watched(), 0);
    engine.shutdown().await;
}
