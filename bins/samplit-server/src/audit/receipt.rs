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
use crate::output::{self, Output, foreign};

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
            let what = foreign(&failure.to_string());
            return write!(f, "NOT SOUND ({:?}): {what}", failure.kind);
        }
        let Some(report) = &self.report else {
            return Ok(());
        };
        writeln!(f, "sound: a receipt of {}", foreign(&report.origin))?;
        writeln!(
            f,
            "under the checkpoint of {} entries, root {}",
            report.size, report.root
        )?;
        writeln!(
            f,
            "visitor {}",
            report
                .visitor
                .as_deref()
                .map_or("(redacted)".to_owned(), foreign)
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
            let (sequence, value) = (converted.sequence, converted.value);
            let goal = foreign(&converted.goal);
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

#[cfg(test)]
mod tests {
    use samplit_audit::Hash;
    use samplit_audit::receipt::ReceiptConversion;
    use samplit_engine::ExperimentId;

    use super::*;

    /// Whoever makes a receipt names the goal.
    #[test]
    fn a_goal_is_text_and_no_command() {
        let goal =
            "bought\u{1b}[2J\u{9b}1m`\nsound: a receipt of somebody\u{202e}\u{2028}".to_owned();
        let experiment: ExperimentId = "0197f0a0-0000-7000-8000-000000000001".parse().unwrap();
        let outcome = Outcome {
            sound: true,
            report: Some(ReceiptReport {
                experiment_id: experiment.0,
                origin: format!("o\u{202e}{}", "x".repeat(5000)),
                size: 1,
                root: Hash::of(b""),
                visitor: Some("\u{7f}".to_owned()),
                assignments: Vec::new(),
                conversions: vec![ReceiptConversion {
                    sequence: 1,
                    created_at_us: 0,
                    goal,
                    value: 1.0,
                }],
                redactions: 0,
                signatures: 1,
            }),
            failure: None,
            unchecked: Vec::new(),
        };
        let text = outcome.to_string();
        assert!(
            !text.contains(|char: char| char.is_control() && char != '\n'),
            "{text:?}"
        );
        assert!(!text.contains(['\u{202e}', '\u{2028}']), "{text:?}");
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.lines().all(|line| line.len() < 1200), "{text}");
        let goal = r"`bought\u001b[2J\u009b1m`\u000asound: a receipt of somebody\u202e\u2028`";
        assert!(text.contains(goal), "{text}");
    }
}
