//! `experiment_keys`: the sealed draw and pseudonym keys of an experiment.

use samplit_domain::ExperimentId;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// The keys of an experiment that starts.
    INSERT_KEYS = "INSERT INTO experiment_keys (experiment_id, draw_key_sealed, pid_key_sealed) \
        VALUES ($1, $2, $3)";
    /// The keys of one experiment.
    READ_KEYS = "SELECT draw_key_sealed, pid_key_sealed FROM experiment_keys WHERE experiment_id = $1";
    /// The draw keys of the experiments that take visitors.
    KEYS_OF_RUNNING = "SELECT k.experiment_id, k.draw_key_sealed FROM experiment_keys k \
        JOIN experiments x ON x.id = k.experiment_id WHERE x.status IN ('active', 'paused')";
    /// Destroys the pseudonym key of one experiment.
    DESTROY_PID_KEY = "UPDATE experiment_keys SET pid_key_sealed = NULL WHERE experiment_id = $1";
}

/// The sealed keys of one experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKeys {
    /// The draw key.
    pub draw: Vec<u8>,
    /// The pseudonym key; `None` once it was destroyed.
    pub pid: Option<Vec<u8>>,
}

/// Stores the keys of an experiment that starts.
///
/// # Errors
/// When it has keys already, or PostgreSQL fails.
pub async fn insert(
    session: &Session<'_>,
    experiment: ExperimentId,
    keys: &SealedKeys,
) -> Result<(), Error> {
    session
        .execute(INSERT_KEYS, &[&experiment.0, &keys.draw, &keys.pid])
        .await
        .map(drop)
}

/// Reads the keys of an experiment; `None` before it starts.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn read(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Option<SealedKeys>, Error> {
    let row = session.query_opt(READ_KEYS, &[&experiment.0]).await?;
    let keys = row.map(|row| {
        let of = Columns::new(&row, "experiment_keys");
        Ok(SealedKeys {
            draw: of.get(0, "draw_key_sealed")?,
            pid: of.get(1, "pid_key_sealed")?,
        })
    });
    keys.transpose()
}

/// The sealed draw keys of the experiments that take visitors.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn of_running(session: &Session<'_>) -> Result<Vec<(ExperimentId, Vec<u8>)>, Error> {
    let rows = session.query(KEYS_OF_RUNNING, &[]).await?;
    let keys = rows.iter().map(|row| {
        let of = Columns::new(row, "experiment_keys");
        let id = ExperimentId(of.get(0, "experiment_id")?);
        Ok((id, of.get(1, "draw_key_sealed")?))
    });
    keys.collect()
}

/// Destroys the pseudonym key: from then on nobody can tell whom a pseudonym stands for.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn destroy_pid(session: &Session<'_>, experiment: ExperimentId) -> Result<(), Error> {
    session
        .execute(DESTROY_PID_KEY, &[&experiment.0])
        .await
        .map(drop)
}
