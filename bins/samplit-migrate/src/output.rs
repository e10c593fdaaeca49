//! Outcomes as text for people or JSON for programs.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

use samplit_sql::{Baseline, PlannedStep, Report, State, Status, Verification};
use serde::Serialize;
use serde_json::json;

use crate::cli::Output;

/// Prints an outcome on standard output.
pub(crate) fn print<T: Serialize>(
    output: Output,
    outcome: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    let rendered = match output {
        Output::Table => text(outcome),
        Output::Json => serde_json::to_string_pretty(outcome)?,
    };
    writeln!(io::stdout(), "{}", rendered.trim_end())?;
    Ok(())
}

/// Prints an error: for people on standard error, and for programs as JSON on standard output too.
pub(crate) fn print_error(output: Output, error: &anyhow::Error) {
    // Nothing is left to be done when both are closed.
    let _ = writeln!(io::stderr(), "error: {error:#}");
    if output == Output::Json {
        let differences = differences(error);
        let object = json!({ "error": format!("{error:#}"), "differences": differences });
        let _ = writeln!(io::stdout(), "{object:#}");
    }
}

/// The differences that an error is about.
pub(crate) fn differences(error: &anyhow::Error) -> &[samplit_sql::Difference] {
    error
        .downcast_ref::<samplit_sql::Error>()
        .map_or(&[], samplit_sql::Error::differences)
}

fn lines<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().fold(String::new(), |mut text, item| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{item}");
        text
    })
}

pub(crate) fn report(report: &Report) -> String {
    let applied = report.applied.iter().map(|name| format!("applied {name}"));
    format!(
        "{}the schema is at version {}",
        lines(applied),
        report.version
    )
}

pub(crate) fn status(status: &Status) -> String {
    let steps = status.steps.iter().map(|step| {
        let state = match step.state {
            State::Applied => "applied",
            State::Changed => "CHANGED",
            State::Pending => "pending",
            State::Unknown => "UNKNOWN",
        };
        let applied_on = step.applied_on.as_deref().unwrap_or_default();
        format!(
            "{:>3}  {:<24} {state:<8} {applied_on}",
            step.version, step.name
        )
    });
    let current = status
        .current
        .map_or_else(|| "none".to_owned(), |version| version.to_string());
    format!(
        "{}version {current}, expected {}",
        lines(steps),
        status.expected
    )
}

/// What `plan` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<PlannedStep>,
}

/// SQL that psql can run as it stands.
pub(crate) fn plan(Plan { steps }: &Plan) -> String {
    if steps.is_empty() {
        return "-- nothing to do".to_owned();
    }
    lines(steps.iter().map(|step| {
        format!(
            "-- V{}__{}\nBEGIN;\n{}COMMIT;\n",
            step.version, step.name, step.sql
        )
    }))
}

pub(crate) fn verification(verification: &Verification) -> String {
    if verification.is_clean() {
        return format!(
            "the schema is what version {} should be",
            verification.expected
        );
    }
    let count = verification.differences.len();
    format!("{}differences: {count}", lines(&verification.differences))
}

pub(crate) fn baseline(baseline: &Baseline) -> String {
    let Baseline { version, expected } = baseline;
    if version == expected {
        format!("adopted at version {version}; nothing left to do")
    } else {
        format!("adopted at version {version}; `samplit-migrate up` brings it to {expected}")
    }
}
