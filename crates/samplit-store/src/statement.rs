//! Named statements and the session that runs them.

use deadpool_postgres::StatementCache;
use postgres_types::ToSql;
use tokio_postgres::{Client, Row};

use crate::Error;

/// One SQL statement with a name, which stands in its text as a comment, so that
/// `pg_stat_statements`, logs and code tell the same thing.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// The name.
    pub name: &'static str,
    /// The text, with `-- name` as its first line.
    pub sql: &'static str,
}

/// Declares the statements of one table family as constants, and `STATEMENTS`, which lists them.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$meta])*
        const $name: $crate::Statement = $crate::Statement {
            name: stringify!($name),
            sql: concat!("-- ", stringify!($name), "\n", $sql),
        };)+

        /// Every statement of this family.
        pub(crate) const STATEMENTS: &[$crate::Statement] = &[$($name),+];
    };
}
pub(crate) use statements;

/// Parameters of a statement.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection, perhaps inside a transaction, on which named statements run.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    client: &'a Client,
    cache: &'a StatementCache,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl<'a> Session<'a> {
    pub(crate) const fn new(client: &'a Client, cache: &'a StatementCache) -> Self {
        Self { client, cache }
    }

    pub(crate) async fn query(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        let prepared = self.prepare(statement).await?;
        let rows = self.client.query(&prepared, params).await;
        rows.map_err(|source| Error::postgres(statement.name, source))
    }

    pub(crate) async fn query_opt(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>, Error> {
        let prepared = self.prepare(statement).await?;
        let row = self.client.query_opt(&prepared, params).await;
        row.map_err(|source| Error::postgres(statement.name, source))
    }

    pub(crate) async fn query_one(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<Row, Error> {
        let prepared = self.prepare(statement).await?;
        let row = self.client.query_one(&prepared, params).await;
        row.map_err(|source| Error::postgres(statement.name, source))
    }

    pub(crate) async fn execute(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<u64, Error> {
        let prepared = self.prepare(statement).await?;
        let count = self.client.execute(&prepared, params).await;
        count.map_err(|source| Error::postgres(statement.name, source))
    }

    async fn prepare(&self, statement: Statement) -> Result<tokio_postgres::Statement, Error> {
        let prepared = self.cache.prepare(self.client, statement.sql).await;
        prepared.map_err(|source| Error::postgres(statement.name, source))
    }
}
