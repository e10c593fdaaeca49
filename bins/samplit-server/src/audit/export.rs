//! `audit export`: a trail as a bundle.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use samplit_engine::{BundleRange, ExperimentId, Principal};

use super::Source;

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    /// Only what follows this entry, to go on where another export broke off; 0 is all of it.
    #[arg(long, default_value_t = 0)]
    after: u64,

    /// Only so many entries in all; without it all there are. Give it with `--after`, so that the
    /// parts fit.
    #[arg(long)]
    size: Option<u64>,

    #[command(flatten)]
    source: Source,
}

pub(super) async fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let engine = args.source.open().await?;
    let range = BundleRange {
        after: args.after,
        size: args.size,
    };
    let bundle = engine
        .bundle(&Principal::system(), args.experiment, range)
        .await;
    let bundle = bundle.with_context(|| format!("cannot export experiment {}", args.experiment))?;
    let mut lines = std::pin::pin!(bundle.lines);
    let mut out = io::stdout().lock();
    while let Some(some) = lines.next().await {
        out.write_all(&some?)?;
    }
    out.flush()?;
    engine.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
