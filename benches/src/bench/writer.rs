//! New visitors through the engine in process, beside transactions of one visitor each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use samplit_domain::{ElementDraft, ExperimentDraft, ExperimentId, Transition, VariantDraft};
use samplit_engine::{Assign, Engine, EngineConfig, Experiment, Principal};
use samplit_store::{Database, Settings};
use tokio::time::Instant;

use crate::report::{Goal, Report, rate};
use crate::{Args, insert, naive, server, setup};

/// Clients of a yardstick; it counts at its best.
const CLIENTS: [usize; 3] = [1, 8, 32];

/// Measures, and gives the best rate of the naive transaction.
pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<f64> {
    let (_pg, url) = setup::migrated(true).await?;
    let engine = engine(&url).await?;
    let (mut best_naive, mut best_insert, mut best_writer) = (0.0_f64, 0.0_f64, 0.0_f64);
    for round in 1..=args.rounds {
        for clients in CLIENTS {
            let experiment = started(&engine).await?;
            let rate = naive::measure(&url, &experiment, clients, args.duration()).await?;
            report.note(&format!(
                "round {round}: naive transaction, {clients} clients: {rate:.0} /s"
            ));
            best_naive = best_naive.max(rate);
            let prefix = format!("insert-{round}-{clients}");
            let rate =
                insert::measure(&url, &experiment, &prefix, clients, args.duration()).await?;
            report.note(&format!(
                "round {round}: one INSERT, {clients} clients: {rate:.0} /s"
            ));
            best_insert = best_insert.max(rate);
        }
        let experiment = started(&engine).await?;
        let rate = flood(
            &engine,
            &[experiment.id],
            args.in_flight,
            "v",
            args.duration(),
        )
        .await?;
        report.note(&format!("round {round}: writer: {rate:.0} /s"));
        best_writer = best_writer.max(rate);
        let verdict = engine.verify(&Principal::system(), experiment.id).await?;
        verdict.context("the trail does not verify")?;
    }
    engine.shutdown().await;
    let what = "durable, audited assigns of new visitors, in process";
    report.add(
        what,
        rate(best_writer),
        format!("naive transaction at its best, {}", rate(best_naive)),
        best_writer / best_naive,
        Goal::AtLeast(20.0),
    );
    report.add(
        what,
        rate(best_writer),
        format!(
            "one bare INSERT a transaction at its best, {}",
            rate(best_insert)
        ),
        best_writer / best_insert,
        Goal::None,
    );
    Ok(best_naive)
}

/// An engine as a server would start it.
pub(crate) async fn engine(url: &str) -> anyhow::Result<Engine> {
    let database = Database::connect(Settings::new(url)).await?;
    Ok(Engine::start(database, EngineConfig::new(server::ring()?)).await?)
}

/// A started experiment of three arms.
pub(crate) async fn started(engine: &Engine) -> anyhow::Result<Experiment> {
    let me = Principal::system();
    let text = |name: &str| serde_json::json!({ "text": name });
    let variants = vec![
        VariantDraft::control("A", text("A")),
        VariantDraft::new("B", text("B")),
        VariantDraft::new("C", text("C")),
    ];
    let draft = ExperimentDraft::new("bench", vec![ElementDraft::new("headline", variants)]);
    let id = engine.create_experiment(&me, draft).await?.id;
    let transition = engine.transition(&me, id, Transition::Start, Default::default(), None);
    Ok(transition.await?)
}

/// New visitors through the engine, as many in flight as told; the experiments take turns. Visitors
/// are called after `prefix`, which must be new.
pub(crate) async fn flood(
    engine: &Engine,
    experiments: &[ExperimentId],
    in_flight: usize,
    prefix: &str,
    seconds: Duration,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let until = started + seconds;
    let done = visitors(engine, experiments, in_flight, prefix, move |_| {
        Instant::now() < until
    });
    #[expect(clippy::cast_precision_loss, reason = "a count of a few seconds")]
    let done = done.await? as f64;
    Ok(done / started.elapsed().as_secs_f64())
}

/// New visitors while `goes_on` says so of their number; how many there were.
pub(crate) async fn visitors(
    engine: &Engine,
    experiments: &[ExperimentId],
    in_flight: usize,
    prefix: &str,
    goes_on: impl Fn(usize) -> bool + Clone + Send + 'static,
) -> anyhow::Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let me = Arc::new(Principal::system());
    let experiments: Arc<[ExperimentId]> = experiments.into();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (engine, next, me) = (engine.clone(), Arc::clone(&next), Arc::clone(&me));
            let (experiments, goes_on) = (Arc::clone(&experiments), goes_on.clone());
            let prefix = prefix.to_owned();
            tokio::spawn(async move {
                let mut done = 0_usize;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !goes_on(number) {
                        return Ok::<_, samplit_engine::Error>(done);
                    }
                    let visitor = format!("{prefix}-{number}");
                    let ask = Assign {
                        visitor,
                        ..Assign::default()
                    };
                    let id = experiments[number % experiments.len()];
                    engine.assign(&me, id, ask).await?;
                    done += 1;
                }
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(done)
}
