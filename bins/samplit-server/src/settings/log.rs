//! What is logged, and in which form.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// What is logged, and in which form. Logs go to standard error.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogSettings {
    /// The form of a log line.
    #[arg(long, global = true, env = "SAMPLIT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    log_format: LogFormat,

    /// What is logged, like `info` or `warn,samplit_engine=debug`. Default: `info` for `serve`,
    /// `warn` for everything else.
    #[arg(long, global = true, env = "SAMPLIT_LOG", value_parser = readable)]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum LogFormat {
    /// Lines for people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// A filter that can be understood.
fn readable(filter: &str) -> Result<String, String> {
    match EnvFilter::try_new(filter) {
        Ok(_) => Ok(filter.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl LogSettings {
    /// Installs the subscriber of this process.
    pub(crate) fn install(&self, quiet: bool) {
        let default = if quiet { "warn" } else { "info" };
        let filter = EnvFilter::new(self.log.as_deref().unwrap_or(default));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Pretty => subscriber.init(),
            LogFormat::Json => subscriber.json().flatten_event(true).init(),
        }
    }
}
