//! How long results and forecasts take: medians of repeated calls, in process.
//!
//! The experiment behind the results has as many snapshots as told, made by real traffic through the
//! writer; results read statistics per snapshot and never the assignments, so it is the snapshots
//! that cost.

mod setup;

use std::time::Duration;

use clap::Parser;
use samplit_domain::{
    Allocation, ElementDraft, ExperimentDraft, Strategy, Transition, VariantDraft,
};
use samplit_engine::{Assign, Convert, Engine, EngineConfig, ForecastRequest, KeyRing, Principal};
use samplit_store::{Database, Settings};
use tokio::time::Instant;

/// Milliseconds of results and forecasts.
#[derive(Debug, Parser)]
struct Args {
    /// Waves of visitors, each of which may bring a snapshot.
    #[arg(long, default_value_t = 1_000)]
    waves: usize,
    /// Arms of the experiment.
    #[arg(long, default_value_t = 5)]
    arms: usize,
    /// Calls measured.
    #[arg(long, default_value_t = 21)]
    calls: usize,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (_pg, url) = setup::migrated(false).await?;
    let database = Database::connect(Settings::new(&url)).await?;
    let config = EngineConfig {
        reallocate_every: Duration::ZERO,
        ..EngineConfig::new(KeyRing::new(&[[7; 32]])?)
    };
    let engine = Engine::start(database, config).await?;
    let me = Principal::system();

    let variants = (0..args.arms).map(|arm| VariantDraft {
        is_control: arm == 0,
        ..VariantDraft::new(format!("arm {arm}"), serde_json::json!({}))
    });
    let element = ElementDraft::new("headline", variants.collect());
    let id = engine
        .create_experiment(&me, ExperimentDraft::new("bench", vec![element]))
        .await?
        .id;
    engine
        .transition(&me, id, Transition::Start, Default::default(), None)
        .await?;
    for wave in 0..args.waves {
        for number in 0..4 {
            let visitor = format!("visitor-{wave}-{number}");
            let ask = Assign {
                visitor: visitor.clone(),
                ..Assign::default()
            };
            engine.assign(&me, id, ask).await?;
            if number == 0 {
                engine
                    .convert(
                        &me,
                        id,
                        Convert {
                            visitor,
                            ..Convert::default()
                        },
                    )
                    .await?;
            }
        }
    }
    let snapshots = engine.timeline(&me, id).await?.len();

    let results = median(args.calls, async || engine.results(&me, id).await.map(drop));
    let results = results.await?;
    println!(
        "results, {} arms, {snapshots} snapshots            {results:>8.1} ms",
        args.arms
    );
    let timeline = median(args.calls, async || {
        engine.evidence_timeline(&me, id).await.map(drop)
    });
    let timeline = timeline.await?;
    println!("timeline with evidence                       {timeline:>8.1} ms");
    let request = ForecastRequest {
        rates: vec![0.05, 0.06, 0.055],
        visitors_per_day: 1_000,
        days: 20,
        strategy: Strategy::Adaptive,
        allocation: Allocation::default(),
        stop_at_p_best: 0.95,
        min_visitors_per_arm: 1_000,
        min_days: 7.0,
        rule: None,
        max_runs: u32::MAX,
        seed: 1,
    };
    let forecast = median(args.calls.min(5), async || {
        engine.forecast(&me, request.clone()).await.map(drop)
    });
    let forecast = forecast.await?;
    println!("forecast, 10,000 runs, 3 arms, 20,000 visitors {forecast:>6.1} ms");
    engine.shutdown().await;
    Ok(())
}

/// The median of some calls, in milliseconds.
async fn median(
    calls: usize,
    call: impl AsyncFn() -> Result<(), samplit_engine::Error>,
) -> anyhow::Result<f64> {
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        let started = Instant::now();
        call().await?;
        took.push(started.elapsed());
    }
    took.sort();
    Ok(took[took.len() / 2].as_secs_f64() * 1e3)
}
