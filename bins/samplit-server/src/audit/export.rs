//! `audit export`: a trail as a bundle.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use samplit_engine::{ExperimentId, Principal};

use super::Source;

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    #[command(flatten)]
    source: Source,
}

pub(super) async fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let engine = args.source.open().await?;
    let system = Principal::system();
    let lines = engine.bundle(&system, args.experiment).await;
    let lines = lines.with_context(|| format!("cannot export experiment {}", args.experiment))?;
    let mut lines = std::pin::pin!(lines);
    let mut out = io::stdout().lock();
    while let Some(some) = lines.next().await {
        out.write_all(&some?)?;
    }
    out.flush()?;
    engine.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
