//! What can go wrong with a throwaway cluster.

use std::io;

/// Why a throwaway PostgreSQL could not be made or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither `PATH`, `pg_config` nor the usual folders lead to a PostgreSQL server.
    #[error("no PostgreSQL server programs (initdb, pg_ctl, postgres) were found")]
    BinariesNotFound,
    /// The process is root, and no account exists that the server could run as.
    #[error("PostgreSQL refuses to run as root, and neither user `postgres` nor `nobody` exists")]
    NoAccount,
    /// One of PostgreSQL's programs ended with an error.
    #[error("{program} failed: {output}")]
    Program {
        /// The program's name, such as `initdb`.
        program: &'static str,
        /// What it printed, and for a server that did not start the tail of its log.
        output: String,
    },
    /// The operating system refused something.
    #[error("cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// The server refused a connection or a statement.
    #[error("PostgreSQL refused to {action}")]
    Postgres {
        /// What was being done.
        action: &'static str,
        /// The refusal.
        source: tokio_postgres::Error,
    },
}

impl Error {
    /// Names the action that an I/O error interrupted.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    /// Names the action that the server refused.
    pub(crate) fn postgres(action: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Postgres { action, source }
    }
}
