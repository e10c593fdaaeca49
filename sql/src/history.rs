//! What a database remembers of the migrations that it has run.

use std::collections::BTreeMap;

use refinery::Migration;
use serde::Serialize;
use tokio_postgres::Client;

use crate::{Difference, Error, expected_version, migrations};

/// One recorded migration, as text: a record that somebody edited must not stop us from reading it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    name: String,
    applied_on: String,
    checksum: String,
}

/// The recorded migrations by version; empty when there is no history table.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(BTreeMap<i32, Record>);

impl History {
    pub(crate) async fn read(client: &Client) -> Result<Self, Error> {
        let exists = client
            .query_one(
                "SELECT to_regclass('refinery_schema_history') IS NOT NULL",
                &[],
            )
            .await
            .map_err(Error::query("look for the migration history"))?;
        if !exists.get::<_, bool>(0) {
            return Ok(Self::default());
        }
        let rows = client
            .query(
                "SELECT version, coalesce(name, ''), coalesce(applied_on, ''), coalesce(checksum, '')
                 FROM refinery_schema_history",
                &[],
            )
            .await
            .map_err(Error::query("read the migration history"))?;
        let records = rows.iter().map(|row| {
            let record = Record {
                name: row.get(1),
                applied_on: row.get(2),
                checksum: row.get(3),
            };
            (row.get(0), record)
        });
        Ok(Self(records.collect()))
    }

    pub(crate) fn version(&self) -> Option<i32> {
        self.0.keys().next_back().copied()
    }

    /// The migrations that have not run.
    pub(crate) fn pending(&self) -> Vec<Migration> {
        let mut migrations = migrations::all();
        migrations.retain(|migration| !self.0.contains_key(&migration.version()));
        migrations
    }

    fn state(&self, migration: &Migration) -> State {
        match self.0.get(&migration.version()) {
            Some(record) if record.is_of(migration) => State::Applied,
            Some(_) => State::Changed,
            None => State::Pending,
        }
    }

    /// Where the records are not the beginning of our migrations: changed, unknown, or skipped.
    pub(crate) fn differences(&self) -> Vec<Difference> {
        let current = self.version().unwrap_or(0);
        let ours = migrations::all();
        let mut differences = Vec::new();
        for migration in &ours {
            let found = match self.state(migration) {
                State::Changed => self.0.get(&migration.version()).map(Record::describe),
                State::Pending if migration.version() < current => None,
                _ => continue,
            };
            differences.push(Difference {
                object: format!("migration V{}", migration.version()),
                expected: Some(Record::of(migration).describe()),
                found,
            });
        }
        for (version, record) in &self.0 {
            if ours.iter().all(|migration| migration.version() != *version) {
                differences.push(Difference {
                    object: format!("migration V{version}"),
                    expected: None,
                    found: Some(record.describe()),
                });
            }
        }
        differences
    }

    /// Refuses a history that is not the beginning of ours.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let differences = self.differences();
        if differences.is_empty() {
            Ok(())
        } else {
            Err(Error::History(differences))
        }
    }
}

impl Record {
    fn of(migration: &Migration) -> Self {
        Self {
            name: migration.name().to_owned(),
            applied_on: String::new(),
            checksum: migration.checksum().to_string(),
        }
    }

    fn is_of(&self, migration: &Migration) -> bool {
        let ours = Self::of(migration);
        self.name == ours.name && self.checksum == ours.checksum
    }

    fn describe(&self) -> String {
        format!("{} with checksum {}", self.name, self.checksum)
    }
}

/// Where a migration stands in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Run, and unchanged since.
    Applied,
    /// Recorded under this version with another name or checksum.
    Changed,
    /// Not run yet.
    Pending,
    /// Recorded, but not known to this program: the database is newer.
    Unknown,
}

/// One migration of a [`Status`].
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its version.
    pub version: i32,
    /// Its name, the file name without version and ending.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// When it ran, RFC 3339.
    pub applied_on: Option<String>,
}

/// How far a database is.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Version of the database; `None` without a history.
    pub current: Option<i32>,
    /// Version that this program works with.
    pub expected: i32,
    /// Every migration that either side knows, in order.
    pub steps: Vec<Step>,
}

impl Status {
    /// Whether there is nothing to do and nothing to wonder about.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.steps.iter().all(|step| step.state == State::Applied)
    }
}

/// Tells which migrations have run.
///
/// # Errors
/// [`Error::Query`] when the history cannot be read.
pub async fn status(client: &Client) -> Result<Status, Error> {
    let history = History::read(client).await?;
    let mut steps: BTreeMap<i32, Step> = BTreeMap::new();
    for (version, record) in &history.0 {
        let step = Step {
            version: *version,
            name: record.name.clone(),
            state: State::Unknown,
            applied_on: Some(record.applied_on.clone()),
        };
        steps.insert(*version, step);
    }
    for migration in migrations::all() {
        let step = Step {
            version: migration.version(),
            name: migration.name().to_owned(),
            state: history.state(&migration),
            applied_on: history
                .0
                .get(&migration.version())
                .map(|record| record.applied_on.clone()),
        };
        steps.insert(migration.version(), step);
    }
    Ok(Status {
        current: history.version(),
        expected: expected_version(),
        steps: steps.into_values().collect(),
    })
}

/// The version that a database is at; `None` without a history.
///
/// # Errors
/// [`Error::Query`] when the history cannot be read.
pub async fn current_version(client: &Client) -> Result<Option<i32>, Error> {
    Ok(History::read(client).await?.version())
}
