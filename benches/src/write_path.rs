//! Durable, audited assignments a second: the group-commit writer beside the naive transaction.
//!
//! Both write the real schema with its foreign keys, of one experiment, with fsync and
//! `synchronous_commit` on, in one run on one cluster. The naive transaction is what one would write
//! without a writer: per visitor, lock the head, insert the assignment, count it, append the entry,
//! move the head, commit. It is measured at several client counts and compared at its best.

mod naive;
mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use samplit_domain::{ElementDraft, ExperimentDraft, Transition, VariantDraft};
use samplit_engine::{Assign, Engine, EngineConfig, Experiment, KeyRing, Principal};
use samplit_store::{Database, Settings};
use tokio::time::Instant;

/// Assignments a second, in process, beside the naive transaction.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Requests in flight against the writer.
    #[arg(long, default_value_t = 4096)]
    in_flight: usize,
    /// Client counts of the naive transaction.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    clients: Vec<usize>,
    /// Rounds; the best of each side counts.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (_pg, url) = setup::migrated(true).await?;
    let database = Database::connect(Settings::new(&url)).await?;
    let config = EngineConfig::new(KeyRing::new(&[[7; 32]])?);
    let engine = Engine::start(database, config).await?;

    let seconds = Duration::from_secs(args.seconds);
    let mut best_naive = 0.0_f64;
    let mut best_writer = 0.0_f64;
    for round in 1..=args.rounds {
        for &clients in &args.clients {
            let experiment = started(&engine).await?;
            let rate = naive::measure(&url, &experiment, clients, seconds).await?;
            println!("round {round}: naive transaction, {clients:>2} clients   {rate:>9.0} /s");
            best_naive = best_naive.max(rate);
        }
        let experiment = started(&engine).await?;
        let rate = writer(&engine, &experiment, args.in_flight, seconds).await?;
        println!(
            "round {round}: writer, {} in flight        {rate:>9.0} /s",
            args.in_flight
        );
        best_writer = best_writer.max(rate);
        let verdict = engine.verify(&Principal::system(), experiment.id).await?;
        let report = verdict.context("the trail does not verify")?;
        println!(
            "round {round}: trail of {} entries verified, replay included",
            report.entries
        );
    }
    println!("ratio, best against best: {:.1}", best_writer / best_naive);
    engine.shutdown().await;
    Ok(())
}

async fn started(engine: &Engine) -> anyhow::Result<Experiment> {
    let me = Principal::system();
    let text = |name: &str| serde_json::json!({ "text": name });
    let variants = vec![
        VariantDraft::control("A", text("A")),
        VariantDraft::new("B", text("B")),
        VariantDraft::new("C", text("C")),
    ];
    let draft = ExperimentDraft::new("bench", vec![ElementDraft::new("headline", variants)]);
    let id = engine.create_experiment(&me, draft).await?.id;
    Ok(engine
        .transition(&me, id, Transition::Start, Default::default(), None)
        .await?)
}

/// New visitors through the engine, as many in flight as told.
async fn writer(
    engine: &Engine,
    experiment: &Experiment,
    in_flight: usize,
    seconds: Duration,
) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicUsize::new(0));
    let me = Arc::new(Principal::system());
    let started = Instant::now();
    let until = started + seconds;
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (engine, next, me, id) = (
                engine.clone(),
                Arc::clone(&next),
                Arc::clone(&me),
                experiment.id,
            );
            tokio::spawn(async move {
                while Instant::now() < until {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let visitor = format!("visitor-{number}");
                    engine
                        .assign(
                            &me,
                            id,
                            Assign {
                                visitor,
                                ..Assign::default()
                            },
                        )
                        .await?;
                }
                Ok::<_, samplit_engine::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of a few seconds")]
    let done = next.load(Ordering::Relaxed) as f64;
    Ok(done / started.elapsed().as_secs_f64())
}
