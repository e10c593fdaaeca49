//! How to reach PostgreSQL.

use anyhow::Context as _;
use clap::Args;
use samplit_store::{Settings, redact};
use serde::{Serialize, Serializer};

use super::duration::Span;
use super::secret::Secret;

/// How to reach PostgreSQL.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Database")]
pub(crate) struct DatabaseSettings {
    /// Connection string, such as `postgresql://user@host/db?sslmode=verify-full`. The environment is
    /// the better place for one with a password: every process can read another's command line.
    #[arg(long, env = "SAMPLIT_DATABASE_URL", hide_env_values = true)]
    #[serde(serialize_with = "redacted")]
    database_url: Option<Secret>,

    /// Connections kept open even when idle.
    #[arg(long, env = "SAMPLIT_MIN_CONNECTIONS", default_value_t = 5)]
    min_connections: usize,

    /// Connections at most.
    #[arg(long, env = "SAMPLIT_MAX_DB_CONNECTIONS", default_value_t = 20)]
    max_db_connections: usize,

    /// An idle connection above the minimum is closed after this long.
    #[arg(long, env = "SAMPLIT_MAX_IDLE", default_value = "5m")]
    max_idle: Span,

    /// How long one try to connect may take.
    #[arg(long, env = "SAMPLIT_CONNECT_TIMEOUT", default_value = "5s")]
    connect_timeout: Span,

    /// How long a statement may run; `audit` and `doctor`, which read whole tables, set no limit.
    #[arg(long, env = "SAMPLIT_STATEMENT_TIMEOUT", default_value = "30s")]
    statement_timeout: Span,

    /// How long a statement waits for a lock.
    #[arg(long, env = "SAMPLIT_LOCK_TIMEOUT", default_value = "5s")]
    lock_timeout: Span,
}

impl DatabaseSettings {
    /// As the store wants it.
    pub(crate) fn to_store(&self) -> anyhow::Result<Settings> {
        let url = self
            .database_url
            .as_ref()
            .context("give the database by --database-url or SAMPLIT_DATABASE_URL")?;
        Ok(Settings {
            min_connections: self.min_connections,
            max_connections: self.max_db_connections,
            max_idle: self.max_idle.0,
            connect_timeout: self.connect_timeout.0,
            statement_timeout: self.statement_timeout.0,
            lock_timeout: self.lock_timeout.0,
            application_name: "samplit-server".to_owned(),
            ..Settings::new(url.expose())
        })
    }
}

fn redacted<S: Serializer>(url: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = url.as_ref().map(|url| redact(url.expose()));
    shown.serialize(serializer)
}
