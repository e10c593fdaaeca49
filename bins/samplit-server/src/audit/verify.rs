//! `audit verify`: is the trail sound?

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use samplit_audit::{
    Checkpoint, DrawKey, Failure, FailureKind, Hash, Options, Report, SignedCheckpoint,
    VerifyingKey, bundle,
};
use samplit_engine::{BanditRule, ExperimentId, Principal};
use serde::Serialize;

use super::Source;
use crate::output::{self, Output, foreign};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A bundle, as `audit export` or GET /v1/experiments/{id}/audit/bundle gives it; `-` is standard
    /// input.
    #[arg(required_unless_present = "database", conflicts_with = "database")]
    file: Option<PathBuf>,

    /// A key that checkpoints must be signed with, as `name+id+base64`; may be given several times.
    /// Without one no signature is checked.
    #[arg(long, conflicts_with = "database")]
    key: Vec<VerifyingKey>,

    /// A file with a checkpoint that you kept, which the trail must contain; may be given several
    /// times.
    #[arg(long, value_name = "NOTE-FILE", conflicts_with = "database")]
    known: Vec<PathBuf>,

    /// The draw key, 64 hexadecimal digits, if the operator hands it over before the trail is sealed.
    #[arg(long, value_name = "HEX", conflicts_with = "database")]
    draw_key: Option<Hash>,

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

pub(super) async fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let verdict = if let Some(file) = &args.file {
        verify_file(file, args)?
    } else {
        let experiment = args.experiment.context("give a file or an experiment")?;
        let engine = args.source.open().await?;
        let verdict = engine.verify(&Principal::system(), experiment).await;
        engine.shutdown().await;
        verdict.with_context(|| format!("cannot verify experiment {experiment}"))?
    };
    let outcome = Outcome::new(verdict, args);
    output::print(args.output, &outcome, ToString::to_string)?;
    Ok(ExitCode::from(outcome.exit_code()))
}

fn verify_file(file: &Path, args: &VerifyArgs) -> anyhow::Result<Result<Report, Failure>> {
    let known = args.known.iter().map(|note| read_known(note, &args.key));
    let options = Options {
        keys: args.key.clone(),
        known: known.collect::<Result<_, _>>()?,
        replay: true,
        draw_key: args.draw_key.map(|key| DrawKey::from_bytes(key.0)),
        rule: Some(Box::new(BanditRule)),
    };
    match bundle::verify(BufReader::new(open(file)?), options) {
        Err(failure) if failure.kind == FailureKind::Unread => {
            Err(failure).with_context(|| format!("cannot read {}", file.display()))
        }
        verdict => Ok(verdict),
    }
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Box::new(opened))
}

/// A checkpoint that the auditor kept. Under pinned keys it has to be signed, like any other.
fn read_known(file: &Path, keys: &[VerifyingKey]) -> anyhow::Result<Checkpoint> {
    let read = || {
        let note = SignedCheckpoint::parse(&std::fs::read_to_string(file)?)?;
        if !keys.is_empty() {
            note.verify(keys)?;
        }
        anyhow::Ok(note.checkpoint().clone())
    };
    read().with_context(|| format!("cannot use the checkpoint {}", file.display()))
}

/// The outcome of a verification, as it is printed.
#[derive(Serialize)]
struct Outcome {
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// What was not checked.
    unchecked: Vec<String>,
}

impl Outcome {
    fn new(verdict: Result<Report, Failure>, args: &VerifyArgs) -> Self {
        let unchecked = verdict.as_ref().map(|report| unchecked(report, args));
        Self {
            sound: verdict.is_ok(),
            unchecked: unchecked.unwrap_or_default(),
            failure: verdict.as_ref().err().cloned(),
            report: verdict.ok(),
        }
    }

    fn exit_code(&self) -> u8 {
        self.failure
            .as_ref()
            .map_or(0, |failure| failure.kind.exit_code())
    }
}

/// What a sound verdict does not cover, in sentences.
fn unchecked(report: &Report, args: &VerifyArgs) -> Vec<String> {
    let mut unchecked = Vec::new();
    if args.database {
        let what = "signatures: the database vouches for itself here; export the bundle and verify \
                    that with --key";
        unchecked.push(what.to_owned());
    } else if args.key.is_empty() {
        let what = "NO KEY IS PINNED: whoever wrote this file may have made up all of it; give the \
                    operator's key by --key";
        unchecked.push(what.to_owned());
    } else if report.signed_size < report.entries {
        unchecked.push(format!(
            "entries {}..{} lie behind the last signed checkpoint: what was cut off or replaced \
             there does not show",
            report.signed_size + 1,
            report.entries
        ));
    }
    if let Some(replay) = &report.replay
        && replay.draws < replay.assignments
    {
        unchecked.push(format!(
            "{} of {} draws: they take the draw key, which the seal reveals; give it by \
                 --draw-key",
            replay.assignments - replay.draws,
            replay.assignments
        ));
    }
    if report.redactions > 0 {
        unchecked.push(format!("{} redacted payloads", report.redactions));
    }
    unchecked
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.failure {
            let what = foreign(&failure.to_string());
            return write!(f, "NOT SOUND ({:?}): {what}", failure.kind);
        }
        let Some(report) = &self.report else {
            return Ok(());
        };
        let (entries, id) = (report.entries, report.experiment_id);
        writeln!(f, "sound: {entries} entries of experiment {id}")?;
        writeln!(f, "head {}", report.head)?;
        writeln!(f, "root {}", report.root)?;
        let seal = if report.sealed {
            "sealed"
        } else {
            "not sealed"
        };
        writeln!(f, "{seal}, incarnation {}", report.incarnation)?;
        writeln!(
            f,
            "{} checkpoints ({} given up), {} signatures, {} redactions",
            report.checkpoints, report.abandoned, report.signatures, report.redactions
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
        for what in &self.unchecked {
            writeln!(f, "NOT CHECKED: {what}")?;
        }
        Ok(())
    }
}
