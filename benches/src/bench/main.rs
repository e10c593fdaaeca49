//! Every number that the system promises, each beside its yardstick, taken in one run on one machine.
//!
//! Load generator, server and PostgreSQL share the cores. `fsync` and `synchronous_commit` are on.
//! Ratios are what counts: absolute rates of a shared machine move by a factor of two from hour to
//! hour, but two figures taken one after the other move together.

#[path = "../setup.rs"]
mod setup;

mod dashboard;
mod disk;
mod growth;
mod http;
mod insert;
mod many;
mod naive;
mod pages;
mod report;
mod server;
mod start_up;
mod trail;
mod writer;

use std::time::Duration;

use clap::{Parser, ValueEnum};

use report::Report;

/// Every number that the system promises, beside its yardstick.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Which parts; all without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Rounds; the best of each side counts.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Requests in flight against the writer in process.
    #[arg(long, default_value_t = 4_096)]
    in_flight: usize,
    /// Visitors already there when growth is measured, in millions; 10 take a quarter of an hour.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    millions: Vec<u64>,
    /// Write the table into this document, between its marks.
    #[arg(long)]
    write: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// New visitors in process, beside transactions of one visitor each.
    Writer,
    /// New and returning visitors over HTTP.
    Http,
    /// Many experiments at once.
    Many,
    /// Pages with one and with twenty experiments, beside one assign each.
    Pages,
    /// Bundles: export, verification, and what signing costs.
    Trail,
    /// Tables that are full already.
    Growth,
    /// Starting, and memory at rest.
    Start,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut report = Report::default();
    // The yardstick of two parts.
    let mut naive = None;
    if args.wants(Part::Writer) {
        naive = Some(writer::measure(&args, &mut report).await?);
    }
    if args.wants(Part::Http) {
        http::measure(&args, naive, &mut report).await?;
    }
    if args.wants(Part::Many) {
        many::measure(&args, &mut report).await?;
    }
    if args.wants(Part::Pages) {
        pages::measure(&args, &mut report).await?;
    }
    if args.wants(Part::Trail) {
        trail::measure(&args, &mut report).await?;
    }
    if args.wants(Part::Start) {
        start_up::measure(&mut report).await?;
    }
    if args.wants(Part::Growth) {
        growth::measure(&args, &mut report).await?;
    }
    report.finish(args.write.as_deref()).await
}
