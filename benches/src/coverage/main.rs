//! Proof by simulation that the statistics hold what they promise, and what they earn on record.
//!
//! `coverage` simulates experiments with the functions that run live and counts how often every
//! interval holds the truth. `coverage upworthy` and `coverage open-bandit` replay public data.
//! Every run has its own seeded stream, so results do not depend on the number of threads.

mod document;
mod goals;
mod number;
mod open_bandit;
mod parallel;
mod plots;
mod regret;
mod report;
mod scenario;
mod simulate;
mod summary;
mod table;
mod upworthy;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::document::Document;
use crate::summary::Summary;

/// Runs per scenario of the short form.
const SHORT: usize = 300;

/// Simulates experiments and counts how often the statistics hold what they promise.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Runs per experiment.
    #[arg(long, default_value_t = 10_000, value_parser = positive)]
    runs: usize,

    /// A few seconds instead of minutes: 300 runs per experiment.
    #[arg(long, conflicts_with = "runs")]
    short: bool,

    /// Makes every run repeatable.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,

    /// Threads; the result does not depend on it. Default: one per core.
    #[arg(long, global = true)]
    threads: Option<usize>,

    /// Folder for coverage.json and the plots.
    #[arg(long, default_value = "target/coverage")]
    output: PathBuf,

    /// Also write the tables into this document between their markers, and its plots.
    #[arg(long, global = true)]
    write: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Back-tests the policies on recorded headline tests (the Upworthy Research Archive).
    Upworthy {
        /// CSV with `test_id`, impressions and clicks, one row per headline.
        file: PathBuf,
    },
    /// Estimates Thompson sampling from a uniform log (the Open Bandit Dataset).
    OpenBandit {
        /// CSV of the uniform policy: `item_id`, position, click, propensity.
        uniform: PathBuf,
        /// CSV of Thompson sampling.
        thompson: PathBuf,
    },
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let document = args.write.as_deref().map(Document::new);
    let threads = args.threads.unwrap_or_else(parallel::cores);
    match &args.command {
        None => coverage(&args, document.as_ref(), threads),
        Some(Command::Upworthy { file }) => {
            let tests = upworthy::read(file)?;
            let bar = parallel::bar(upworthy::items(&tests), "back-test");
            let table = upworthy::table(&tests, args.seed, threads, &bar)?.markdown();
            bar.finish_and_clear();
            let command = format!("just coverage upworthy {} --seed {}", name(file), args.seed);
            publish("upworthy", &command, &table, document.as_ref())
        }
        Some(Command::OpenBandit { uniform, thompson }) => {
            let table = open_bandit::table(uniform, thompson)?.markdown();
            let (uniform, thompson) = (name(uniform), name(thompson));
            let command = format!("just coverage open-bandit {uniform} {thompson}");
            publish("open-bandit", &command, &table, document.as_ref())
        }
    }
}

fn coverage(args: &Args, document: Option<&Document>, threads: usize) -> anyhow::Result<()> {
    let runs = if args.short { SHORT } else { args.runs };
    let folder = &args.output;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let rows = simulate(runs, args.seed, threads)?;
    // The regret of a policy varies less from run to run than coverage does.
    let regret_runs = runs.div_ceil(10);
    let bar = parallel::bar(regret::curves() * regret_runs, "regret  ");
    let regret = regret::simulate(regret_runs, args.seed, threads, &bar)?;
    bar.finish_and_clear();
    let json = serde_json::json!({
        "seed": args.seed, "runs": runs, "regret_runs": regret_runs,
        "coverage": rows, "regret": regret,
    });
    let file = folder.join("coverage.json");
    fs::write(&file, format!("{json:#}\n"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    plots::draw(folder, &rows, &regret)?;
    if let Some(document) = document {
        let images = document.images();
        fs::create_dir_all(&images)?;
        plots::draw(&images, &rows, &regret)?;
    }
    let command = format!("just coverage --runs {runs} --seed {}", args.seed);
    publish(
        "coverage",
        &command,
        &report::text(&rows, &regret),
        document,
    )
}

/// All scenarios, `runs` times each.
fn simulate(runs: usize, seed: u64, threads: usize) -> anyhow::Result<Vec<Summary>> {
    let scenarios = scenario::all();
    let bar = parallel::bar(scenarios.len() * runs, "coverage");
    let outcomes = parallel::map(scenarios.len() * runs, threads, &bar, |item| {
        let (scenario, run) = (item / runs, item % runs);
        let random = &mut simulate::random(seed, scenario, run as u64);
        simulate::run(&scenarios[scenario], random)
    })?;
    bar.finish_and_clear();
    Ok(scenarios
        .into_iter()
        .zip(outcomes.chunks_exact(runs))
        .map(|(scenario, outcomes)| Summary::new(scenario, outcomes))
        .collect())
}

/// A file's name without its folder, which is nobody else's business.
fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
fn publish(
    name: &str,
    command: &str,
    text: &str,
    document: Option<&Document>,
) -> anyhow::Result<()> {
    println!("{text}");
    match document {
        Some(document) => document.write(name, command, text),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All experiments with few runs each, and room for four Monte-Carlo standard errors: enough
    /// to refuse the plain sequence, which misses the truth in a quarter of the runs.
    #[test]
    fn few_runs_meet_the_goals() {
        let rows = simulate(100, 1, parallel::cores()).unwrap();
        assert_eq!(goals::unmet(&rows, 4.0), Vec::<String>::new());
    }

    #[test]
    fn threads_do_not_change_results() {
        let once = |threads| serde_json::to_string(&simulate(3, 7, threads).unwrap()).unwrap();
        assert_eq!(once(1), once(3));
    }
}
