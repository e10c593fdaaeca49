//! What an operator does to a trail: sign it, seal it, reveal its draw key, redact in it, and go on with
//! it after a restore.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use samplit_audit::Hash;
use samplit_engine::{ExperimentId, Principal, VerifyingKey};

use super::source::{Source, Target};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct SealArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    /// Also when conversions still count; none will from then on.
    #[arg(long)]
    close_window: bool,

    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct RevealArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct RedactArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    /// The sequence number of an assignment or conversion.
    #[arg(long)]
    sequence: u64,

    /// Why, 1 to 500 characters; stands in the trail.
    #[arg(long)]
    reason: String,

    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct AcknowledgeArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    /// What happened; stands in the trail.
    #[arg(long)]
    reason: String,

    /// The verifier key of a signing key that was taken out of service: what it has signed may be
    /// given up, too; once or several times.
    #[arg(long, value_name = "VKEY")]
    accept_key: Vec<VerifyingKey>,

    #[command(flatten)]
    target: Target,
}

pub(super) async fn checkpoint(args: &CheckpointArgs) -> anyhow::Result<ExitCode> {
    let engine = args.target.open().await?;
    let signed = engine
        .sign_checkpoint(&Principal::system(), args.experiment)
        .await;
    engine.shutdown().await;
    let signed = signed.with_context(|| format!("cannot sign experiment {}", args.experiment))?;
    output::line(&signed.note)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn seal(args: &SealArgs) -> anyhow::Result<ExitCode> {
    let engine = args.target.open().await?;
    let sealed = engine
        .seal(&Principal::system(), args.experiment, args.close_window)
        .await;
    engine.shutdown().await;
    sealed.with_context(|| format!("cannot seal experiment {}", args.experiment))?;
    output::line(&format!(
        "the trail of experiment {} is sealed",
        args.experiment
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn reveal(args: &RevealArgs) -> anyhow::Result<ExitCode> {
    let engine = args.source.open().await?;
    let key = engine.draw_key(&Principal::system(), args.experiment).await;
    engine.shutdown().await;
    let key = key.with_context(|| format!("cannot reveal experiment {}", args.experiment))?;
    output::line(&Hash(*key.expose()).to_string())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn redact(args: &RedactArgs) -> anyhow::Result<ExitCode> {
    let engine = args.source.open().await?;
    let system = Principal::system();
    let redacted = engine
        .redact(&system, args.experiment, args.sequence, &args.reason)
        .await;
    engine.shutdown().await;
    let redaction = redacted.with_context(|| format!("cannot redact entry {}", args.sequence))?;
    output::line(&format!(
        "entry {} is redacted, entry {redaction} says so",
        args.sequence
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn acknowledge_restore(args: &AcknowledgeArgs) -> anyhow::Result<ExitCode> {
    let engine = args.target.open().await?;
    let system = Principal::system();
    let done = engine
        .acknowledge_restore(&system, args.experiment, &args.reason, &args.accept_key)
        .await;
    engine.shutdown().await;
    let done = done.with_context(|| format!("cannot go on with experiment {}", args.experiment))?;
    output::line(&format!(
        "the trail of experiment {} goes on in incarnation {}; exported checkpoints given up: {}",
        args.experiment, done.incarnation, done.given_up
    ))?;
    Ok(ExitCode::SUCCESS)
}
