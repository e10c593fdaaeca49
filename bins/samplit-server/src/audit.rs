//! `audit`: proves trails, and hands them out so that others can.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use samplit_audit::{Failure, Options, Report, VerifyingKey, bundle};
use samplit_engine::{BanditRule, Engine, EngineConfig, ExperimentId, Principal};
use samplit_store::Settings;
use serde::Serialize;

use crate::database;
use crate::output::{self, Output};
use crate::settings::{DatabaseSettings, KeySettings};

/// What sysexits.h calls an input or output error: nothing was verified.
const NOT_VERIFIED: u8 = 74;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Verify a trail: chain, tree, and every decision replayed.
    ///
    /// Exit codes: 0 sound, 1 altered (integrity), 2 not signed as it should be, 3 a decision did not
    /// follow the announced rule (replay), 4 malformed, 64 wrong usage, 74 could not be read.
    Verify(VerifyArgs),
    /// Write a trail as a bundle to standard output, for `verify` without the database.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A bundle, as `audit export` or GET /v1/experiments/{id}/audit/bundle gives it.
    #[arg(required_unless_present = "database", conflicts_with = "database")]
    file: Option<PathBuf>,

    /// A key that checkpoints must be signed with, as `name+id+base64`; may be given several times.
    /// Without one no signature is checked.
    #[arg(long, conflicts_with = "database")]
    signed_by: Vec<VerifyingKey>,

    /// Verify a trail in the database instead of a file.
    #[arg(long, requires = "experiment")]
    database: bool,

    /// Of which experiment.
    #[arg(long, requires = "database")]
    experiment: Option<ExperimentId>,

    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Of which experiment.
    #[arg(long)]
    experiment: ExperimentId,

    #[command(flatten)]
    source: Source,
}

/// Where trails are read from.
#[derive(Debug, Args)]
pub(crate) struct Source {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    keys: KeySettings,
}

impl Source {
    /// An engine over the database.
    pub(crate) async fn open(&self) -> anyhow::Result<Engine> {
        let keys = self.keys.ring()?;
        let settings = Settings {
            // Reading a whole trail or table takes as long as it takes.
            statement_timeout: Duration::ZERO,
            ..self.database.to_store()?
        };
        let database = database::connect(settings).await?;
        Ok(Engine::start(database, EngineConfig::new(keys)).await?)
    }
}

/// The outcome of a verification, as it is printed.
#[derive(Serialize)]
struct Outcome {
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

pub(crate) async fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify(args) => match verify(&args).await {
            Ok(code) => Ok(code),
            Err(error) => {
                output::print_error(&error);
                Ok(ExitCode::from(NOT_VERIFIED))
            }
        },
        AuditCommand::Export(args) => export(&args).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let verdict = if let Some(file) = &args.file {
        verify_file(file, args.signed_by.clone())?
    } else {
        let experiment = args.experiment.context("give a file or an experiment")?;
        let engine = args.source.open().await?;
        let verdict = engine.verify(&Principal::system(), experiment).await;
        engine.shutdown().await;
        verdict.with_context(|| format!("cannot verify experiment {experiment}"))?
    };
    let code = match &verdict {
        Ok(_) => 0,
        Err(failure) => failure.kind.exit_code(),
    };
    let outcome = Outcome {
        sound: verdict.is_ok(),
        failure: verdict.as_ref().err().cloned(),
        report: verdict.ok(),
    };
    output::print(args.output, &outcome, ToString::to_string)?;
    Ok(ExitCode::from(code))
}

fn verify_file(file: &Path, keys: Vec<VerifyingKey>) -> anyhow::Result<Result<Report, Failure>> {
    let input = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let options = Options {
        keys,
        replay: true,
        rule: Some(Box::new(BanditRule)),
        ..Options::default()
    };
    Ok(bundle::verify(BufReader::new(input), options))
}

async fn export(args: &ExportArgs) -> anyhow::Result<()> {
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
    Ok(())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.failure {
            return write!(f, "NOT SOUND ({:?}): {failure}", failure.kind);
        }
        let Some(report) = &self.report else {
            return Ok(());
        };
        writeln!(
            f,
            "sound: {} entries of experiment {}",
            report.entries, report.experiment_id
        )?;
        writeln!(f, "head {}", report.head)?;
        writeln!(f, "root {}", report.root)?;
        writeln!(
            f,
            "{} checkpoints, {} signatures, {} redactions",
            report.checkpoints, report.signatures, report.redactions
        )?;
        if let Some(replay) = &report.replay {
            writeln!(
                f,
                "replayed: {} assignments ({} draws from the key), {} conversions, {} reallocations \
                 ({} weights from the counts)",
                replay.assignments,
                replay.draws,
                replay.conversions,
                replay.reallocations,
                replay.weights
            )?;
        }
        Ok(())
    }
}
