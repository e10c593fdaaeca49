//! `audit verify-receipt`: is what a visitor was told in the trail that was signed?

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use samplit_audit::receipt::{self, ReceiptOptions, ReceiptReport};
use samplit_audit::{Failure, Pseudonym, VerifyingKey};
use samplit_engine::from_micros;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use super::verify::open;
use crate::output::{self, Output};

/// The longest receipt that is read, in bytes; one of all elements takes a hundredth of it.
const MAX_RECEIPT: u64 = 16 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct ReceiptArgs {
    /// A receipt, as GET /v1/experiments/{id}/audit/receipt gives it; `-` is standard input.
    file: PathBuf,

    /// A key that the checkpoint must be signed with, as `name+id+base64`; may be given several
    /// times, one of them is enough. Without one no signature is checked.
    #[arg(long)]
    key: Vec<VerifyingKey>,

    /// The pseudonym of the visitor that it must be about, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    visitor_pseudonym: Option<Pseudonym>,

    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn run(args: &ReceiptArgs) -> anyhow::Result<ExitCode> {
    let mut bytes = Vec::new();
    let read = open(&args.file)?.take(MAX_RECEIPT).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {}", args.file.display()))?;
    let options = ReceiptOptions {
        keys: args.key.clone(),
        visitor: args.visitor_pseudonym,
    };
    let verdict = receipt::verify(&bytes, &options);
    let mut unchecked = Vec::new();
    if args.key.is_empty() {
        unchecked.push(
            "NO KEY IS PINNED: whoever wrote this file may have made up all of it; give the \
             operator's key by --key",
        );
    }
    if args.visitor_pseudonym.is_none() {
        unchecked.push("whose it is: give the pseudonym by --visitor-pseudonym");
    }
    let code = match &verdict {
        Ok(_) => 0,
        Err(failure) => failure.kind.exit_code(),
    };
    let outcome = Outcome {
        sound: verdict.is_ok(),
        failure: verdict.as_ref().err().cloned(),
        report: verdict.ok(),
        unchecked,
    };
    output::print(args.output, &outcome, ToString::to_string)?;
    Ok(ExitCode::from(code))
}

/// The outcome of a verification, as it is printed.
#[derive(Serialize)]
struct Outcome {
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<ReceiptReport>,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// What was not checked.
    unchecked: Vec<&'static str>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.failure {
            return write!(f, "NOT SOUND ({:?}): {failure}", failure.kind);
        }
        let Some(report) = &self.report else {
            return Ok(());
        };
        writeln!(f, "sound: a receipt of {}", report.origin)?;
        writeln!(
            f,
            "under the checkpoint of {} entries, root {}",
            report.size, report.root
        )?;
        writeln!(
            f,
            "visitor {}",
            report.visitor.as_deref().unwrap_or("(redacted)")
        )?;
        for assigned in &report.assignments {
            let (sequence, arm) = (assigned.sequence, assigned.arm);
            let when = instant(assigned.created_at_us);
            let element = assigned
                .element
                .map(|element| format!(" of element {element}"));
            let element = element.unwrap_or_default();
            writeln!(f, "entry {sequence}, {when}: was given arm {arm}{element}")?;
        }
        for converted in &report.conversions {
            let (sequence, goal, value) = (converted.sequence, &converted.goal, converted.value);
            let when = instant(converted.created_at_us);
            writeln!(
                f,
                "entry {sequence}, {when}: converted, `{goal}`, value {value}"
            )?;
        }
        if report.redactions > 0 {
            writeln!(f, "{} redacted payloads", report.redactions)?;
        }
        writeln!(f, "{} signatures", report.signatures)?;
        for what in &self.unchecked {
            writeln!(f, "NOT CHECKED: {what}")?;
        }
        Ok(())
    }
}

/// A time for people, or the number where no calendar has it.
fn instant(micros: i64) -> String {
    let written = from_micros(micros).format(&Rfc3339).ok();
    written.unwrap_or_else(|| format!("{micros} us"))
}
