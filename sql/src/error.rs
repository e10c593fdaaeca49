//! Why a database could not be brought to the schema.

use std::time::Duration;

use crate::Difference;

/// What stopped an operation. Nothing is half-done: each migration is one transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused a query of ours.
    #[error("cannot {action}")]
    Query {
        /// What was being done.
        action: &'static str,
        /// The refusal.
        source: tokio_postgres::Error,
    },
    /// A migration failed; those before it stay applied.
    #[error("a migration failed and was rolled back")]
    Migration(#[source] refinery::Error),
    /// Another process held the lock until the deadline.
    #[error("another migration has been running for {} s; giving up", .0.as_secs())]
    Locked(Duration),
    /// The database has this encoding, which cannot hold every text.
    #[error(
        "the database is encoded in {0} and has to be in UTF8; make another one with \
         `createdb -E UTF8 -T template0 NAME`"
    )]
    Encoding(String),
    /// Tables of ours exist, but no record of migrations.
    #[error(
        "the database holds tables but no migration history; adopt it with `samplit-migrate baseline`"
    )]
    NotBaselined,
    /// Something else has the names of tables that the missing migrations make.
    #[error(
        "the database holds something else under the names of our tables: {}; rename that, or give \
         Samplit a database of its own",
        .0.join(", ")
    )]
    InTheWay(Vec<String>),
    /// The recorded migrations are not the beginning of ours.
    #[error("the migration history does not fit this version of the program: {}", joined(.0))]
    History(Vec<Difference>),
    /// Baseline was asked of a database that has a history.
    #[error("the database is at version {0} already; nothing to adopt")]
    AlreadyVersioned(i32),
    /// Baseline was asked of a database without any of our tables.
    #[error("the database holds no tables of Samplit; use `samplit-migrate up`")]
    NothingToAdopt,
    /// The live tables are neither the original schema nor ours.
    #[error("the tables are not those of the original schema: {}", joined(.0))]
    NotRecognised(Vec<Difference>),
}

impl Error {
    /// Names the action that the server refused.
    pub(crate) fn query(action: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Query { action, source }
    }

    /// The differences that an error is about, empty for the other errors.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        match self {
            Self::History(differences) | Self::NotRecognised(differences) => differences,
            _ => &[],
        }
    }
}

fn joined(differences: &[Difference]) -> String {
    let lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
