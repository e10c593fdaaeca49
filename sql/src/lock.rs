//! One migration at a time per database.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::Error;

/// The bytes of `samplit`.
const KEY: i64 = 0x73_61_6d_70_6c_69_74;
const PAUSE: Duration = Duration::from_millis(100);

/// Takes the session's advisory lock. Polled instead of waited for: a waiting session would hold a
/// snapshot, which blocks `CREATE INDEX CONCURRENTLY` and vacuum elsewhere.
///
/// # Errors
/// [`Error::Locked`] once `wait` has passed.
pub(crate) async fn acquire(client: &Client, wait: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + wait;
    let mut told = false;
    loop {
        let row = client
            .query_one("SELECT pg_try_advisory_lock($1)", &[&KEY])
            .await
            .map_err(Error::query("ask for the migration lock"))?;
        if row.get(0) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Locked(wait));
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!("another migration is running; waiting for it");
        }
        sleep(PAUSE).await;
    }
}

/// Gives the lock back. A failure means that the connection is lost, which gives it back too.
pub(crate) async fn release(client: &Client) {
    if let Err(error) = client
        .execute("SELECT pg_advisory_unlock($1)", &[&KEY])
        .await
    {
        tracing::debug!(%error, "the migration lock ends with its connection");
    }
}
