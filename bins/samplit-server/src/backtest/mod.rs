//! `backtest`: old test results through the real write path.
//!
//! Every old test becomes an experiment; visitors arrive and are assigned by the engine, with a
//! PostgreSQL underneath, exactly as a web visitor would be. What a visitor then does is drawn
//! without replacement from what the visitors of that arm did on record. A test ends when somebody
//! is given an arm whose record is used up.
//!
//! Visitors come in waves, and all tests that run at once move in step: everybody of a wave is
//! assigned, then everybody of it who clicks converts, and only then does the clock move and the
//! engine think about the weights. So a test learns once per wave, from all of it, however the
//! requests were batched, and a run is the same for the same seed.

mod records;
mod report;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use samplit_engine::{
    Allocation, Engine, EngineConfig, ManualClock, OldTest, Principal, SeededEntropy, Violations,
};
use samplit_store::Settings;
use time::macros::datetime;
use tokio::time::Instant;

use self::records::Columns;
use self::report::{Report, Row, SOUND, Seconds, seconds};
use self::test::Test;
use crate::output::{self, Output};
use crate::private_cluster::PrivateCluster;
use crate::settings::{KeySettings, Secret};
use crate::{admin, database, signals};

/// When every backtest takes place, as ids and so draws depend on the time.
const BEGINNING: time::OffsetDateTime = datetime!(2020-01-01 00:00 UTC);

/// How far the clock moves from one wave to the next: so little that no snapshot of weights ever
/// gets old, which would have it written anew at a time that depends on the other tests.
const WAVE_TAKES: time::Duration = time::Duration::MILLISECOND;

/// Trails that are verified at once: one is read while another is hashed.
const VERIFIED_AT_ONCE: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// CSV file with one row per arm: test, arm, people who saw it, people who converted.
    file: PathBuf,

    /// Makes the run repeatable: keys, draws, and the order of what is on record.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Only the first so many tests of the file.
    #[arg(long)]
    limit: Option<usize>,

    /// Visitors of a test who arrive at once. The weights can change once per wave.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    wave: u64,

    /// Tests that run at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    parallel: u64,

    /// Assignments per arm under even weights before the weights follow the evidence.
    #[arg(long, default_value_t = Allocation::default().warm_up)]
    warm_up: u64,

    /// The least share of an arm.
    #[arg(long, default_value_t = Allocation::default().floor)]
    floor: f64,

    /// First parameter of the Beta prior.
    #[arg(long, default_value_t = Allocation::default().prior_alpha)]
    prior_alpha: f64,

    /// Second parameter of the Beta prior.
    #[arg(long, default_value_t = Allocation::default().prior_beta)]
    prior_beta: f64,

    /// A migrated database to run in, where the experiments and their trails stay, sealed by the keys
    /// below; each run needs another seed. Default: a private one that is deleted afterwards.
    #[arg(long)]
    database_url: Option<Secret>,

    /// Also write the table of tests to this CSV file.
    #[arg(long)]
    csv: Option<PathBuf>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    keys: KeySettings,

    #[command(flatten)]
    columns: Columns,
}

pub(crate) async fn run(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let signal = signals::shutdown()?;
    let mut records = records::read(&args.file, &args.columns)?;
    records.truncate(args.limit.unwrap_or(usize::MAX));
    let allocation = allocation(args, &records)?;
    if let Some(file) = &args.csv {
        // Better to know now than after the run that it cannot be written.
        std::fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let report = tokio::select! {
        () = signal => anyhow::bail!("stopped before the end"),
        report = Box::pin(perform(args, records, allocation)) => report?,
    };
    if let Some(file) = &args.csv {
        let written = report.write_csv(file);
        written.with_context(|| format!("cannot write {}", file.display()))?;
    }
    output::print(args.output, &report, Report::text)?;
    Ok(if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The parameters of every experiment, checked before anything is started.
fn allocation(args: &BacktestArgs, records: &[OldTest]) -> anyhow::Result<Allocation> {
    let allocation = Allocation {
        warm_up: args.warm_up,
        floor: args.floor,
        prior_alpha: args.prior_alpha,
        prior_beta: args.prior_beta,
        ..Allocation::default()
    };
    let mut violations = Violations::default();
    let arms = records.iter().map(|record| record.arms.len()).max();
    allocation.check("", arms.unwrap_or(0), &mut violations);
    violations
        .into_result(allocation)
        .context("the parameters cannot be used")
}

async fn perform(
    args: &BacktestArgs,
    records: Vec<OldTest>,
    allocation: Allocation,
) -> anyhow::Result<Report> {
    let began = Instant::now();
    // Lives to the end of the run, and ends with it.
    let (_cluster, url) = match &args.database_url {
        Some(url) => (None, url.clone()),
        None => {
            let cluster = PrivateCluster::start().await?;
            let url = cluster.url().into();
            (Some(cluster), url)
        }
    };
    let database = database::connect(Settings {
        // Nobody waits at a page: rather late than not at all.
        lock_timeout: Duration::from_secs(60),
        statement_timeout: Duration::from_secs(600),
        ..Settings::new(url.expose())
    })
    .await?;
    let clock = Arc::new(ManualClock::new(BEGINNING));
    let config = config(args, &clock)?;
    // One engine makes the experiments and another runs them: notifications of the start would
    // have the first one read weights anew while they move.
    let maker = Engine::start(database.clone(), config.clone()).await?;
    let mut tests = Vec::with_capacity(records.len());
    for (position, record) in records.into_iter().enumerate() {
        let name = record.name.clone();
        let test = Test::start(&maker, record, &allocation, args.seed, position).await;
        tests.push(test.with_context(|| format!("cannot start test `{name}`"))?);
    }
    maker.shutdown().await;
    let engine = Engine::start(database, config).await?;
    let setup = began.elapsed();

    let began = Instant::now();
    send_visitors(args, &engine, &clock, &mut tests).await?;
    let traffic = began.elapsed();

    let began = Instant::now();
    let rows = verify(&engine, &tests).await?;
    engine.shutdown().await;
    let seconds = Seconds {
        setup: seconds(setup),
        traffic: seconds(traffic),
        verification: seconds(began.elapsed()),
    };
    Ok(Report::new(rows, seconds))
}

fn config(args: &BacktestArgs, clock: &Arc<ManualClock>) -> anyhow::Result<EngineConfig> {
    let keys = match &args.database_url {
        Some(_) => args.keys.ring()?,
        None => admin::throwaway_ring()?,
    };
    Ok(EngineConfig {
        origin: "backtest".to_owned(),
        // Nobody comes back, so nobody need be remembered.
        cache_capacity: 0,
        reallocate_every: WAVE_TAKES.unsigned_abs(),
        clock: Arc::<ManualClock>::clone(clock),
        entropy: Arc::new(SeededEntropy::new(args.seed)),
        ..EngineConfig::new(keys)
    })
}

/// Lets visitors arrive until every test is over, and completes the experiments.
async fn send_visitors(
    args: &BacktestArgs,
    engine: &Engine,
    clock: &ManualClock,
    tests: &mut [Test],
) -> anyhow::Result<()> {
    let bar = bar(tests.len(), "tests run");
    let parallel = usize::try_from(args.parallel)?;
    let mut running = Vec::new();
    let mut waiting = tests.iter_mut();
    loop {
        running.extend(waiting.by_ref().take(parallel - running.len()));
        if running.is_empty() {
            break;
        }
        let waves = running
            .iter_mut()
            .map(|test| test.arrive(engine, args.wave));
        let clicks = try_join_all(waves).await?;
        let waves = running.iter_mut().zip(clicks);
        try_join_all(waves.map(|(test, clicks)| test.click(engine, clicks))).await?;
        let (over, on): (Vec<_>, Vec<_>) = running.into_iter().partition(|test| test.is_over);
        running = on;
        for test in over {
            test.complete(engine).await?;
            bar.inc(1);
        }
        clock.advance(WAVE_TAKES);
        try_join_all(running.iter().map(|test| test.learn(engine))).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Verifies every trail, replay included.
async fn verify(engine: &Engine, tests: &[Test]) -> anyhow::Result<Vec<Row>> {
    let bar = bar(tests.len(), "trails verified");
    let system = Principal::system();
    let rows = stream::iter(tests).map(async |test| {
        let row = match engine.verify(&system, test.id).await? {
            Ok(report) => Row::new(test, report.entries, SOUND.to_owned()),
            Err(failure) => Row::new(test, 0, failure.to_string()),
        };
        bar.inc(1);
        Ok::<_, anyhow::Error>(row)
    });
    let rows = rows.buffered(VERIFIED_AT_ONCE).try_collect().await?;
    bar.finish_and_clear();
    Ok(rows)
}

fn bar(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} [{elapsed}, {eta} left]")
        .expect("the template is sound");
    ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(what)
}
