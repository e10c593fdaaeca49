//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use samplit_sql::Options;
use samplit_store::Server;

/// Brings a PostgreSQL database to the schema of Samplit.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a difference was found.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Connection string, such as `postgresql://user@host/db`. The environment is the better place
    /// for one with a password: every process can read another's command line.
    #[arg(
        long,
        global = true,
        env = "SAMPLIT_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,

    /// How to print the outcome.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,

    #[command(flatten)]
    patience: Patience,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    Table,
    /// One JSON object.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the migrations that are missing.
    Up,
    /// Show which migrations have run.
    Status,
    /// Print the SQL that `up` would run.
    Plan,
    /// Compare checksums and the live schema with what they should be.
    Verify,
    /// Adopt a database that was made with psql; alters no table, run `up` afterwards.
    Baseline,
    /// Write the database to a file with `pg_dump`.
    Backup {
        /// The file to write.
        file: PathBuf,
        /// Replace the file if it exists.
        #[arg(long)]
        force: bool,
    },
    /// Load a file of `backup` with `pg_restore`, into an empty database unless forced. A file with a
    /// newer schema is refused, and the schema is compared afterwards as `verify` does it.
    Restore {
        /// The file to read.
        file: PathBuf,
        /// Drop what the file is about to make, should the database not be empty.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
struct Patience {
    /// Seconds to wait for another migration to finish.
    #[arg(long, global = true, default_value_t = Options::default().lock_wait.as_secs())]
    lock_wait: u64,

    /// Seconds that a statement waits for a table in use; 0 is for ever. Traffic queues meanwhile.
    #[arg(long, global = true, default_value_t = Options::default().lock_timeout.as_secs())]
    lock_timeout: u64,

    /// Seconds that a statement may run; 0 is for ever.
    #[arg(long, global = true, default_value_t = Options::default().statement_timeout.as_secs())]
    statement_timeout: u64,
}

/// A command line that clap accepts and we do not.
#[derive(Debug)]
pub(crate) struct Usage(clap::Error);

impl Usage {
    fn new(kind: ErrorKind, message: &str) -> Self {
        Self(Cli::command().error(kind, message))
    }

    /// Prints it as clap prints its own.
    pub(crate) fn into_exit_code(self) -> ExitCode {
        // Nothing is left to be done when stderr is closed.
        let _ = self.0.print();
        ExitCode::from(2)
    }
}

impl Cli {
    /// The database to work on.
    pub(crate) fn database(&self) -> Result<Server, Usage> {
        let url = self.database_url.as_deref().ok_or_else(|| {
            Usage::new(
                ErrorKind::MissingRequiredArgument,
                "give the database by --database-url or SAMPLIT_DATABASE_URL",
            )
        })?;
        let server = Server::parse(url).map_err(|_| {
            Usage::new(
                ErrorKind::ValueValidation,
                "the connection string cannot be read",
            )
        })?;
        Ok(server.named("samplit-migrate"))
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            lock_wait: Duration::from_secs(self.patience.lock_wait),
            lock_timeout: Duration::from_secs(self.patience.lock_timeout),
            statement_timeout: Duration::from_secs(self.patience.statement_timeout),
        }
    }
}
