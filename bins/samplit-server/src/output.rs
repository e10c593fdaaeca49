//! Outcomes as text for people or JSON for programs.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

/// How to print an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    Text,
    /// One JSON value.
    Json,
}

/// Prints an outcome on standard output.
pub(crate) fn print<T: Serialize>(
    output: Output,
    outcome: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Text => line(&text(outcome)),
        Output::Json => line(&serde_json::to_string_pretty(outcome)?),
    }
}

/// Prints text on standard output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{}", text.trim_end())?;
    Ok(())
}

/// Tells people about the progress, on standard error.
pub(crate) fn tell(text: &str) {
    // Nothing is left to be done when it is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints an error with all its causes, on standard error.
pub(crate) fn print_error(error: &anyhow::Error) {
    tell(&format!("error: {error:#}"));
}
