//! What is logged, and in which form.

use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

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

    /// Where spans go, like `http://127.0.0.1:4317`; none: nowhere.
    #[cfg(feature = "otlp")]
    #[arg(long, global = true, env = "SAMPLIT_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
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
    /// Installs the subscriber of this process, and gives back what changes its filter.
    ///
    /// # Errors
    /// When spans cannot be sent to where they should go.
    pub(crate) fn install(&self, quiet: bool) -> anyhow::Result<Arc<LogControl>> {
        let default = if quiet { "warn" } else { "info" };
        let filter = EnvFilter::new(self.log.as_deref().unwrap_or(default));
        let (filter, handle) = reload::Layer::new(filter);
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        let lines = match self.log_format {
            LogFormat::Pretty => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(filter).with(discreet());
        #[cfg(feature = "otlp")]
        let spans = self.otlp_endpoint.as_deref().map(super::otlp::provider);
        #[cfg(feature = "otlp")]
        let spans = spans.transpose()?;
        #[cfg(feature = "otlp")]
        let subscriber = subscriber.with(spans.as_ref().map(|provider| {
            tracing_opentelemetry::layer().with_tracer(super::otlp::tracer(provider))
        }));
        subscriber.with(lines).init();
        Ok(Arc::new(LogControl {
            filter: handle,
            #[cfg(feature = "otlp")]
            spans,
        }))
    }
}

/// Whatever the filter asks for, other people's crates say nothing below `info`: there the driver
/// writes parameters of statements, which are visitors and their contexts.
fn discreet() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("samplit", LevelFilter::TRACE)
}

/// Changes the filter of the log while the process runs.
#[derive(Debug)]
pub(crate) struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    #[cfg(feature = "otlp")]
    spans: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl LogControl {
    /// Sends what has not been sent.
    pub(crate) fn finish(&self) {
        #[cfg(feature = "otlp")]
        if let Some(Err(error)) = self.spans.as_ref().map(|spans| spans.shutdown()) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

impl samplit_http::LogFilter for LogControl {
    fn filter(&self) -> String {
        self.filter
            .with_current(ToString::to_string)
            .unwrap_or_else(|error| error.to_string())
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        if filter.is_empty() {
            return Err("it is empty".to_owned());
        }
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.filter
            .reload(filter)
            .map_err(|error| error.to_string())
    }
}
