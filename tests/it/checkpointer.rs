//! The checkpointer goes on whatever its sinks, its clock and its readers do, and ends in good order.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use samplit_devpg::DevPg;
use samplit_engine::{
    CheckpointSink, Clock, Engine, EngineConfig, ExperimentId, Principal, StoredCheckpoint,
    SystemClock,
};
use samplit_store::Database;
use samplit_tests::{config, connect, database, draft, engine_with, eventually, settings, start};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::checkpoints::{exporting, signing, visit};
use crate::visitor;

/// The size of the largest checkpoint of a trail; 0 without one.
async fn signed(engine: &Engine, id: ExperimentId) -> u64 {
    let checkpoint = engine.checkpoint(&Principal::system(), id).await;
    checkpoint.map_or(0, |checkpoint| checkpoint.size)
}

/// The entries of a trail.
async fn entries(engine: &Engine, id: ExperimentId) -> u64 {
    let me = Principal::system();
    1 + engine.trail(&me, id, 1, 1_000).await.unwrap().len() as u64
}

/// A sink that says what it is asked to take, and then takes it only when it is let.
#[derive(Debug)]
struct Slow {
    asked: mpsc::UnboundedSender<StoredCheckpoint>,
    lets: Semaphore,
    taken: Mutex<Vec<StoredCheckpoint>>,
}

impl Slow {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<StoredCheckpoint>) {
        let (asked, receiver) = mpsc::unbounded_channel();
        let sink = Self {
            asked,
            lets: Semaphore::new(0),
            taken: Mutex::default(),
        };
        (Arc::new(sink), receiver)
    }
}

impl CheckpointSink for Slow {
    fn publish<'a>(
        &'a self,
        checkpoint: &'a StoredCheckpoint,
    ) -> BoxFuture<'a, Result<(), Box<dyn Error + Send + Sync>>> {
        Box::pin(async move {
            // Whoever listened may be gone.
            let _ = self.asked.send(checkpoint.clone());
            self.lets.acquire().await?.forget();
            self.taken.lock().push(checkpoint.clone());
            Ok(())
        })
    }
}

/// A sink that refuses, then panics, and then never answers.
#[derive(Debug, Default)]
struct Silent(AtomicUsize);

impl CheckpointSink for Silent {
    fn publish<'a>(
        &'a self,
        _: &'a StoredCheckpoint,
    ) -> BoxFuture<'a, Result<(), Box<dyn Error + Send + Sync>>> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Box::pin(async { Err("refused".into()) }),
            1 => panic!("a sink that panics, on purpose"),
            _ => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test]
async fn a_silent_sink_keeps_neither_signing_nor_other_sinks_waiting() {
    let database = database().await;
    let silent = Arc::new(Silent::default());
    let (quick, mut arrived) = Slow::new();
    quick.lets.add_permits(1_000);
    let config = EngineConfig {
        checkpoint_every: Duration::from_millis(20),
        checkpoint_sinks: vec![Arc::clone(&silent) as _, quick],
        shutdown_timeout: Duration::from_millis(100),
        ..signing(1, &[1])
    };
    let engine = engine_with(database.url(), config).await;
    let id = start(&engine, draft(&[2])).await.id;
    // It has failed in both ways and was tried again: now it hangs.
    eventually(async || silent.0.load(Ordering::SeqCst) > 2).await;
    let mut trails = vec![id];
    for _ in 0..6 {
        trails.push(start(&engine, draft(&[2])).await.id);
    }
    for id in trails {
        visit(&engine, id, 0..3).await;
        let size = entries(&engine, id).await;
        eventually(async || signed(&engine, id).await == size).await;
        loop {
            let checkpoint = arrived.recv().await.unwrap();
            if (checkpoint.experiment_id, checkpoint.size) == (id, size) {
                break;
            }
        }
    }
    // Nor the end.
    engine.shutdown().await;
}

#[tokio::test]
async fn a_slow_sink_gets_the_newest_of_a_trail_and_one_at_a_time() {
    let database = database().await;
    let me = Principal::system();
    let (sink, mut asked) = Slow::new();
    let config = EngineConfig {
        checkpoint_sinks: vec![Arc::clone(&sink) as _],
        ..signing(1, &[1])
    };
    let engine = engine_with(database.url(), config).await;
    let id = start(&engine, draft(&[2])).await.id;
    let first = engine.sign_checkpoint(&me, id).await.unwrap();
    assert_eq!(asked.recv().await.as_ref(), Some(&first));
    let mut last = None;
    for round in 0..5 {
        visit(&engine, id, round..round + 1).await;
        last = Some(engine.sign_checkpoint(&me, id).await.unwrap());
    }
    // Another trail passes.
    let other = start(&engine, draft(&[2])).await.id;
    let of_other = engine.sign_checkpoint(&me, other).await.unwrap();
    assert_eq!(asked.recv().await, Some(of_other));
    sink.lets.add_permits(10);
    assert_eq!(asked.recv().await, last);
    engine.shutdown().await;
    assert_eq!(sink.taken.lock().len(), 3);
    assert!(asked.try_recv().is_err());
}

/// A clock that can be broken.
#[derive(Debug, Default)]
struct Brittle {
    is_broken: AtomicBool,
    cries: Mutex<u32>,
}

impl Clock for Brittle {
    fn now(&self) -> OffsetDateTime {
        if self.is_broken.load(Ordering::SeqCst) {
            *self.cries.lock() += 1;
            panic!("the clock is broken, on purpose");
        }
        SystemClock.now()
    }
}

#[tokio::test]
async fn a_round_that_panics_is_not_the_last() {
    let database = database().await;
    let clock = Arc::new(Brittle::default());
    let config = EngineConfig {
        clock: Arc::clone(&clock) as _,
        checkpoint_every: Duration::from_millis(20),
        ..signing(1, &[1])
    };
    let engine = engine_with(database.url(), config).await;
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..3).await;
    let size = entries(&engine, id).await;
    eventually(async || signed(&engine, id).await == size).await;
    visit(&engine, id, 3..6).await;
    let size = entries(&engine, id).await;
    clock.is_broken.store(true, Ordering::SeqCst);
    // What was signed before it broke leaves nothing to sign.
    eventually(async || *clock.cries.lock() > 1 || signed(&engine, id).await == size).await;
    clock.is_broken.store(false, Ordering::SeqCst);
    visit(&engine, id, 6..9).await;
    let size = entries(&engine, id).await;
    eventually(async || signed(&engine, id).await == size).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn what_grew_is_signed_and_brought_out_at_the_end() {
    let database = database().await;
    let me = Principal::system();
    let directory = tempfile::tempdir().unwrap();
    let (sink, _) = Slow::new();
    sink.lets.add_permits(1_000);
    let config = EngineConfig {
        checkpoint_sinks: vec![Arc::clone(&sink) as _],
        ..exporting(1, directory.path())
    };
    let engine = engine_with(database.url(), config).await;
    let id = start(&engine, draft(&[2])).await.id;
    visit(&engine, id, 0..10).await;
    let size = entries(&engine, id).await;
    assert_eq!(signed(&engine, id).await, 0);
    engine.shutdown().await;
    let last = engine.checkpoint(&me, id).await.unwrap();
    assert_eq!(last.size, size);
    assert_eq!(*sink.taken.lock(), [last]);
    let file = directory.path().join(format!("{id}/1-{size}.note"));
    assert!(file.exists());
}

#[tokio::test]
async fn an_engine_that_is_opened_does_nothing_by_itself() {
    let database = database().await;
    let me = Principal::system();
    let directory = tempfile::tempdir().unwrap();
    let writer = engine_with(database.url(), config(1)).await;
    let id = start(&writer, draft(&[2])).await.id;
    visit(&writer, id, 0..5).await;
    writer.shutdown().await;

    // A copy of the database, which what is signed from now on is not in.
    let pg = DevPg::shared().await;
    let superuser = connect(&pg.url("postgres")).await;
    let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = $1";
    superuser.query(end, &[&database.name()]).await.unwrap();
    let backup = pg.create_from_template(database.name()).await.unwrap();

    let opened = opened(database.url(), exporting(2, directory.path())).await;
    opened.verify(&me, id).await.unwrap().unwrap();
    visit(&opened, id, 5..8).await;
    opened.sign_checkpoint(&me, id).await.unwrap();
    visit(&opened, id, 8..11).await;
    opened.shutdown().await;
    // It did what it was asked to, and has signed nothing at its end.
    assert!(signed(&opened, id).await < entries(&opened, id).await);

    // The copy goes live: who only reads puts nothing on hold, who is to write has to ask.
    let opened = self::opened(backup.url(), exporting(3, directory.path())).await;
    opened.verify(&me, id).await.unwrap().unwrap();
    let superuser = connect(backup.url()).await;
    let held = "SELECT count(*) FROM audit_heads WHERE hold IS NOT NULL";
    let held = async || {
        superuser
            .query_one(held, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
    };
    assert_eq!(held().await, 0);
    opened.hold_restored().await.unwrap();
    assert_eq!(held().await, 1);
    opened.shutdown().await;
}

/// An engine without tasks.
async fn opened(url: &str, config: EngineConfig) -> Engine {
    let database = Database::connect(settings(url)).await.unwrap();
    Engine::open(database, config).await.unwrap()
}

#[tokio::test]
async fn readers_cause_at_most_one_checkpoint_a_second() {
    let database = database().await;
    let me = Principal::system();
    let engine = engine_with(database.url(), signing(1, &[1])).await;
    let id = start(&engine, draft(&[2])).await.id;
    let began = Instant::now();
    for number in 0..3 {
        let name = format!("early-{number}");
        engine.assign(&me, id, visitor(&name)).await.unwrap();
        engine.receipt(&me, id, &name).await.unwrap();
    }
    // Those who come at once share one.
    let names: Vec<String> = (0..10).map(|number| format!("late-{number}")).collect();
    for name in &names {
        engine.assign(&me, id, visitor(name)).await.unwrap();
    }
    let asking = names.iter().map(|name| engine.receipt(&me, id, name));
    for receipt in futures_util::future::join_all(asking).await {
        receipt.unwrap();
    }
    let report = engine.verify(&me, id).await.unwrap().unwrap();
    assert!(report.checkpoints <= 1 + began.elapsed().as_secs());
    engine.shutdown().await;
}
