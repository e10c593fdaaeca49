//! Named statements and the session that runs them.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::task::Poll;

use deadpool_postgres::Object;
use postgres_types::ToSql;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::Row;

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
///
/// Its connection goes back to the pool only when the work on it has returned. A session that is
/// dropped before that was cancelled, perhaps in the middle of a statement or a transaction, which
/// must not be left to the next borrower: its connection is closed.
///
/// Statements that are joined are sent together and run in the order in which they were first polled,
/// prepared before or not. `tokio::try_join!` keeps that order, and returns the failure that came
/// first instead of one that it caused, only when it is told `biased;`. As a statement waits for its
/// turn to be sent, futures of one session have to be polled together or dropped.
///
/// `'env` is the lifetime of what the unit of work may borrow from outside.
pub struct Session<'env> {
    connection: Option<Object>,
    /// The turn to send, first come, first served: a statement that has to be prepared before would
    /// be overtaken by one that was prepared long ago.
    turn: Mutex<()>,
    env: PhantomData<&'env ()>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.connection.take().map(Object::take);
    }
}

impl Session<'_> {
    pub(crate) const fn new(connection: Object) -> Self {
        Self {
            connection: Some(connection),
            turn: Mutex::const_new(()),
            env: PhantomData,
        }
    }

    pub(crate) fn connection(&self) -> &Object {
        self.connection
            .as_ref()
            .expect("present until the session ends")
    }

    /// Runs SQL that has no parameters and no name: the borders of a transaction.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.connection().batch_execute(sql).await
    }

    /// The work has returned and has nothing under way: gives the connection back to the pool.
    pub(crate) fn give_back(mut self) {
        drop(self.connection.take());
    }

    /// The work has returned: runs `sql` behind whatever of it is still under way, then gives the
    /// connection back to the pool. If that fails, the connection is closed.
    pub(crate) async fn end(self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.batch(sql).await?;
        self.give_back();
        Ok(())
    }

    pub(crate) async fn query(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        let turn = self.turn.lock().await;
        let prepared = self.prepare(statement).await?;
        let rows = send(turn, self.connection().query(&prepared, params)).await;
        rows.map_err(|source| Error::postgres(statement.name, source))
    }

    pub(crate) async fn query_opt(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>, Error> {
        let turn = self.turn.lock().await;
        let prepared = self.prepare(statement).await?;
        let row = send(turn, self.connection().query_opt(&prepared, params)).await;
        row.map_err(|source| Error::postgres(statement.name, source))
    }

    pub(crate) async fn query_one(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<Row, Error> {
        let turn = self.turn.lock().await;
        let prepared = self.prepare(statement).await?;
        let row = send(turn, self.connection().query_one(&prepared, params)).await;
        row.map_err(|source| Error::postgres(statement.name, source))
    }

    pub(crate) async fn execute(
        &self,
        statement: Statement,
        params: Params<'_>,
    ) -> Result<u64, Error> {
        let turn = self.turn.lock().await;
        let prepared = self.prepare(statement).await?;
        let count = send(turn, self.connection().execute(&prepared, params)).await;
        count.map_err(|source| Error::postgres(statement.name, source))
    }

    async fn prepare(&self, statement: Statement) -> Result<tokio_postgres::Statement, Error> {
        let prepared = self.connection().prepare_cached(statement.sql).await;
        prepared.map_err(|source| Error::postgres(statement.name, source))
    }
}

/// Sends a statement, which the driver does when it is polled first, and passes the turn on before
/// it waits for the answer.
async fn send<F: Future>(turn: MutexGuard<'_, ()>, statement: F) -> F::Output {
    let mut statement = pin!(statement);
    let first = poll_fn(|context| Poll::Ready(statement.as_mut().poll(context))).await;
    drop(turn);
    match first {
        Poll::Ready(answer) => answer,
        Poll::Pending => statement.await,
    }
}
