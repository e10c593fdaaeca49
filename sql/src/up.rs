//! Running what is missing.

use std::time::Duration;

use refinery::{Runner, Target};
use serde::Serialize;
use tokio_postgres::Client;

use crate::history::History;
use crate::{Error, encoding, expected_version, lock, migrations};

/// How long to wait for what.
#[derive(Debug, Clone)]
pub struct Options {
    /// For another migration to finish. Default 60 s.
    pub lock_wait: Duration,
    /// For a table that somebody else uses, per statement; traffic queues behind us while we wait,
    /// so this is short. Zero means for ever. Default 5 s.
    pub lock_timeout: Duration,
    /// For one statement to finish. Zero means for ever. Default 15 min.
    pub statement_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lock_wait: Duration::from_secs(60),
            lock_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(15 * 60),
        }
    }
}

/// The history table is made by refinery and not by a migration, so its rights are given here.
const SHARE_HISTORY: &str = "
DO $$
DECLARE
    reader TEXT;
BEGIN
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('samplit_app', 'samplit_auditor') LOOP
        EXECUTE format('GRANT SELECT ON refinery_schema_history TO %I', reader);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner')
        AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    THEN
        ALTER TABLE refinery_schema_history OWNER TO samplit_owner;
    END IF;
END
$$";

/// What [`up`] did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The migrations that it ran, in order; empty when there was nothing to do.
    pub applied: Vec<String>,
    /// The version that the database is at now.
    pub version: i32,
}

/// A migration that [`up`] would run.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedStep {
    /// Its version.
    pub version: i32,
    /// Its name.
    pub name: String,
    /// The SQL, word for word.
    pub sql: String,
}

/// Brings a database to [`expected_version`]. Safe to call from many processes at once: one works,
/// the others wait and find nothing to do.
///
/// # Errors
/// [`Error::Encoding`], [`Error::NotBaselined`], [`Error::History`], [`Error::InTheWay`],
/// [`Error::Locked`], or [`Error::Migration`]; after the last of these the migrations before the
/// failed one stay applied, and calling again goes on.
pub async fn up(client: &mut Client, options: &Options) -> Result<Report, Error> {
    lock::acquire(client, options.lock_wait).await?;
    let outcome = run_pending(client, options).await;
    lock::release(client).await;
    outcome
}

/// The migrations that [`up`] would run, with their SQL.
///
/// # Errors
/// [`Error::Encoding`], [`Error::NotBaselined`], [`Error::History`] and [`Error::InTheWay`] as for
/// [`up`].
pub async fn plan(client: &Client) -> Result<Vec<PlannedStep>, Error> {
    let pending = pending(client).await?;
    Ok(pending
        .iter()
        .map(|migration| PlannedStep {
            version: migration.version(),
            name: migration.name().to_owned(),
            sql: migration.sql().unwrap_or_default().to_owned(),
        })
        .collect())
}

async fn pending(client: &Client) -> Result<Vec<refinery::Migration>, Error> {
    encoding::check(client).await?;
    let history = History::read(client).await?;
    history.check()?;
    if history.version().is_none() && holds_core_tables(client).await? {
        return Err(Error::NotBaselined);
    }
    let pending = history.pending();
    let taken = taken(client, &new_tables(&pending)).await?;
    if !taken.is_empty() {
        return Err(Error::InTheWay(taken));
    }
    Ok(pending)
}

/// The tables that `migrations` make and that must not be there yet.
fn new_tables(migrations: &[refinery::Migration]) -> Vec<&str> {
    migrations
        .iter()
        .flat_map(|migration| migration.sql().unwrap_or_default().lines())
        .filter_map(|line| {
            line.strip_prefix("CREATE TABLE ")?
                .split_whitespace()
                .next()
        })
        // Of IF NOT EXISTS, which takes what it finds.
        .filter(|word| *word != "IF")
        .collect()
}

/// Which of `names` something in the schema has already, in order.
async fn taken(client: &Client, names: &[&str]) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relname = ANY ($1::text[])
             ORDER BY 1",
            &[&names],
        )
        .await
        .map_err(Error::query("look for tables in the way"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether any table of the first migration exists.
async fn holds_core_tables(client: &Client) -> Result<bool, Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (
                 SELECT FROM pg_class
                 WHERE relnamespace = current_schema()::regnamespace
                   AND relname IN ('users', 'experiments', 'experiment_elements',
                                   'element_variants', 'assignments'))",
            &[],
        )
        .await
        .map_err(Error::query("look for existing tables"))?;
    Ok(row.get(0))
}

async fn run_pending(client: &mut Client, options: &Options) -> Result<Report, Error> {
    // Also keeps refinery, which panics on a record that it cannot parse, from meeting one.
    let pending = pending(client).await?;
    if !pending.is_empty() {
        run(client, options, migrations::runner()).await?;
    }
    Ok(Report {
        applied: pending.iter().map(ToString::to_string).collect(),
        version: expected_version(),
    })
}

/// Records the migrations up to `version` as applied without running them.
pub(crate) async fn record(
    client: &mut Client,
    options: &Options,
    version: i32,
) -> Result<(), Error> {
    let runner = migrations::runner().set_target(Target::FakeVersion(version));
    run(client, options, runner).await
}

/// Runs a runner under the timeouts, and lets our database roles read the outcome.
async fn run(client: &mut Client, options: &Options, runner: Runner) -> Result<(), Error> {
    let settings = format!(
        "SET lock_timeout = {}; SET statement_timeout = {}",
        options.lock_timeout.as_millis(),
        options.statement_timeout.as_millis()
    );
    client
        .batch_execute(&settings)
        .await
        .map_err(Error::query("set the timeouts"))?;
    let outcome = runner.run_async(client).await.map_err(Error::Migration);
    let reset = client
        .batch_execute("RESET lock_timeout; RESET statement_timeout")
        .await
        .map_err(Error::query("reset the timeouts"));
    outcome?;
    reset?;
    client
        .batch_execute(SHARE_HISTORY)
        .await
        .map_err(Error::query("let others read the migration history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tables_that_must_not_exist_are_looked_for() {
        let all = migrations::all();
        let tables = new_tables(&all);
        assert!(
            tables.contains(&"users") && tables.contains(&"sessions"),
            "{tables:?}"
        );
        assert!(
            !tables.contains(&"leads") && !tables.contains(&"IF"),
            "{tables:?}"
        );
        assert!(new_tables(&all[3..4]).is_empty());
    }
}
