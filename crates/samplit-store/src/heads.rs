//! `audit_heads`: one mutable row per experiment, the only serialisation point of the write path.

use samplit_domain::{ExperimentId, UserId};
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, Statement, statements};

statements! {
    /// Locks heads in id order, so that two batches over the same experiments cannot deadlock.
    LOCK_HEADS = "SELECT experiment_id, incarnation, size, head_hash, frontier, last_us, snapshot_seq, \
        snapshot_us, config_version, sealed_us, hold FROM audit_heads WHERE experiment_id = ANY($1) \
        ORDER BY experiment_id FOR UPDATE";
    /// Reads a head without a lock.
    READ_HEAD = "SELECT experiment_id, incarnation, size, head_hash, frontier, last_us, snapshot_seq, \
        snapshot_us, config_version, sealed_us, hold FROM audit_heads WHERE experiment_id = $1";
    /// The head of an experiment that starts.
    INSERT_HEAD = "INSERT INTO audit_heads (experiment_id, incarnation, size, head_hash, frontier, \
        last_us, snapshot_seq, snapshot_us, config_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    /// Moves heads forward. Guarded by the size that was locked: a head never moves backward.
    ADVANCE_HEADS = "UPDATE audit_heads h SET size = d.size, head_hash = d.head_hash, \
        frontier = d.frontier, last_us = d.last_us, snapshot_seq = d.snapshot_seq, \
        snapshot_us = d.snapshot_us, config_version = d.config_version \
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::varchar[], $5::bytea[], $6::bigint[], \
        $7::bigint[], $8::bigint[], $9::bigint[]) AS d(experiment_id, old_size, size, head_hash, \
        frontier, last_us, snapshot_seq, snapshot_us, config_version) \
        WHERE h.experiment_id = d.experiment_id AND h.size = d.old_size";
    /// Marks a locked head as sealed.
    SEAL_HEAD = "UPDATE audit_heads SET sealed_us = $2 WHERE experiment_id = $1 AND sealed_us IS NULL";
    /// Refuses to append to a trail, under a new version.
    HOLD_HEAD = "UPDATE audit_heads SET hold = $2, config_version = $3 WHERE experiment_id = $1";
    /// Ends a hold.
    RELEASE_HEAD = "UPDATE audit_heads SET hold = NULL WHERE experiment_id = $1 AND hold IS NOT NULL";
    /// Begins an incarnation; what held the trail is settled.
    BEGIN_INCARNATION = "UPDATE audit_heads SET incarnation = $2, hold = NULL \
        WHERE experiment_id = $1 AND incarnation = $2 - 1";
    /// The trails whose last entry no checkpoint covers, but for those on hold.
    LIST_UNSIGNED = "SELECT h.experiment_id FROM audit_heads h WHERE h.hold IS NULL AND NOT EXISTS ( \
        SELECT FROM audit_checkpoints c WHERE c.experiment_id = h.experiment_id \
        AND c.incarnation = h.incarnation AND c.size = h.size) ORDER BY 1";
    /// The trails of experiments that were completed, not sealed yet, but for those on hold.
    LIST_UNSEALED = "SELECT h.experiment_id FROM audit_heads h JOIN experiments e \
        ON e.id = h.experiment_id WHERE h.sealed_us IS NULL AND h.hold IS NULL \
        AND e.completed_at IS NOT NULL AND e.status IN ('completed', 'archived') ORDER BY 1";
    /// What moves when anything of a started experiment does: its version, and where its trail ends.
    READ_PULSE = "SELECT e.version, h.incarnation, h.size, h.hold IS NOT NULL FROM experiments e \
        JOIN audit_heads h ON h.experiment_id = e.id WHERE e.id = $1";
    /// The same of many experiments; of one account, or of all.
    READ_PULSES = "SELECT e.version, h.incarnation, h.size, h.hold IS NOT NULL, e.id \
        FROM experiments e JOIN audit_heads h ON h.experiment_id = e.id \
        WHERE e.id = ANY($1) AND ($2::uuid IS NULL OR e.user_id = $2)";
    /// How many trails are on hold.
    COUNT_ON_HOLD = "SELECT count(*) FROM audit_heads WHERE hold IS NOT NULL";
}

/// A row of `audit_heads`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRow {
    /// Whose trail it is the head of.
    pub experiment_id: ExperimentId,
    /// How often the trail was restored from a copy, plus one.
    pub incarnation: i32,
    /// Entries so far; the sequence number of the last one.
    pub size: i64,
    /// `current_hash` of the last entry, 64 hex digits.
    pub head_hash: String,
    /// The Merkle frontier.
    pub frontier: Vec<u8>,
    /// `created_at` of the last entry, microseconds since the epoch.
    pub last_us: i64,
    /// The entry whose weights are in force.
    pub snapshot_seq: i64,
    /// `created_at` of that entry.
    pub snapshot_us: i64,
    /// `experiments.version` that the trail was last written under.
    pub config_version: i64,
    /// `created_at` of the seal; `None` while entries may follow.
    pub sealed_us: Option<i64>,
    /// Why nothing may be appended; `None` when all is well.
    pub hold: Option<String>,
}

impl HeadRow {
    fn from_row(row: &tokio_postgres::Row) -> Result<Self, Error> {
        let of = Columns::new(row, "audit_heads");
        Ok(Self {
            experiment_id: ExperimentId(of.get(0, "experiment_id")?),
            incarnation: of.get(1, "incarnation")?,
            size: of.get(2, "size")?,
            head_hash: of.get(3, "head_hash")?,
            frontier: of.get(4, "frontier")?,
            last_us: of.get(5, "last_us")?,
            snapshot_seq: of.get(6, "snapshot_seq")?,
            snapshot_us: of.get(7, "snapshot_us")?,
            config_version: of.get(8, "config_version")?,
            sealed_us: of.get(9, "sealed_us")?,
            hold: of.get(10, "hold")?,
        })
    }
}

/// What moves when anything of a started experiment does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// `experiments.version`.
    pub version: i64,
    /// How often the trail was restored from a copy, plus one.
    pub incarnation: i32,
    /// Entries of the trail so far.
    pub size: i64,
    /// Whether nothing may be appended.
    pub is_held: bool,
}

/// Locks the heads of `experiments` until the transaction ends, in id order. An experiment without a
/// trail has none.
///
/// # Errors
/// When PostgreSQL fails; retryable when the lock was not had in time.
pub async fn lock(session: &Session<'_>, experiments: &[Uuid]) -> Result<Vec<HeadRow>, Error> {
    let rows = session.query(LOCK_HEADS, &[&experiments]).await?;
    rows.iter().map(HeadRow::from_row).collect()
}

/// Reads the head of one experiment, without a lock.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn read(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Option<HeadRow>, Error> {
    let row = session.query_opt(READ_HEAD, &[&experiment.0]).await?;
    row.as_ref().map(HeadRow::from_row).transpose()
}

/// Whether an experiment moved: one row by its primary key, cheap enough for once a second. `None`:
/// it has no trail.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn pulse(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Option<Pulse>, Error> {
    let row = session.query_opt(READ_PULSE, &[&experiment.0]).await?;
    row.as_ref().map(Pulse::from_row).transpose()
}

/// The same of those of `experiments` that have a trail, in no order; of one account only, if one is given.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn pulses(
    session: &Session<'_>,
    experiments: &[Uuid],
    user_id: Option<UserId>,
) -> Result<Vec<(ExperimentId, Pulse)>, Error> {
    let user = user_id.map(|id| id.0);
    let rows = session.query(READ_PULSES, &[&experiments, &user]).await?;
    let read = |row| {
        let id = Columns::new(row, "experiments").get(4, "id")?;
        Ok((ExperimentId(id), Pulse::from_row(row)?))
    };
    rows.iter().map(read).collect()
}

impl Pulse {
    fn from_row(row: &tokio_postgres::Row) -> Result<Self, Error> {
        let of = Columns::new(row, "audit_heads");
        Ok(Self {
            version: of.get(0, "version")?,
            incarnation: of.get(1, "incarnation")?,
            size: of.get(2, "size")?,
            is_held: of.get(3, "hold")?,
        })
    }
}

/// Inserts the head of an experiment that starts.
///
/// # Errors
/// When there is one already, or PostgreSQL fails.
pub async fn insert(session: &Session<'_>, head: &HeadRow) -> Result<(), Error> {
    session
        .execute(
            INSERT_HEAD,
            &[
                &head.experiment_id.0,
                &head.incarnation,
                &head.size,
                &head.head_hash,
                &head.frontier,
                &head.last_us,
                &head.snapshot_seq,
                &head.snapshot_us,
                &head.config_version,
            ],
        )
        .await
        .map(drop)
}

/// Moves locked heads forward; `old_sizes` are the sizes they were locked at.
///
/// # Errors
/// When a head is not where it was locked, or PostgreSQL fails.
pub async fn advance(
    session: &Session<'_>,
    old_sizes: &[i64],
    heads: &[HeadRow],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = heads.iter().map(|head| head.experiment_id.0).collect();
    let sizes: Vec<i64> = heads.iter().map(|head| head.size).collect();
    let hashes: Vec<&str> = heads.iter().map(|head| head.head_hash.as_str()).collect();
    let frontiers: Vec<&[u8]> = heads.iter().map(|head| head.frontier.as_slice()).collect();
    let last: Vec<i64> = heads.iter().map(|head| head.last_us).collect();
    let snapshot: Vec<i64> = heads.iter().map(|head| head.snapshot_seq).collect();
    let snapshot_us: Vec<i64> = heads.iter().map(|head| head.snapshot_us).collect();
    let versions: Vec<i64> = heads.iter().map(|head| head.config_version).collect();
    let moved = session
        .execute(
            ADVANCE_HEADS,
            &[
                &ids,
                &old_sizes,
                &sizes,
                &hashes,
                &frontiers,
                &last,
                &snapshot,
                &snapshot_us,
                &versions,
            ],
        )
        .await?;
    Error::expect_rows(ADVANCE_HEADS.name, heads.len() as u64, moved)
}

/// Marks a locked head as sealed at `sealed_us`, the time of its seal entry.
///
/// # Errors
/// When it is sealed already, or PostgreSQL fails.
pub async fn seal(
    session: &Session<'_>,
    experiment: ExperimentId,
    sealed_us: i64,
) -> Result<(), Error> {
    let sealed = session
        .execute(SEAL_HEAD, &[&experiment.0, &sealed_us])
        .await?;
    Error::expect_rows(SEAL_HEAD.name, 1, sealed)
}

/// Holds a trail for a reason, so that nothing is appended until [`begin_incarnation`].
///
/// # Errors
/// When there is no such head, or PostgreSQL fails.
pub async fn hold(
    session: &Session<'_>,
    experiment: ExperimentId,
    reason: &str,
    config_version: i64,
) -> Result<(), Error> {
    let held = session
        .execute(HOLD_HEAD, &[&experiment.0, &reason, &config_version])
        .await?;
    Error::expect_rows(HOLD_HEAD.name, 1, held)
}

/// Ends the hold of a locked head.
///
/// # Errors
/// When it is not on hold, or PostgreSQL fails.
pub async fn release(session: &Session<'_>, experiment: ExperimentId) -> Result<(), Error> {
    let released = session.execute(RELEASE_HEAD, &[&experiment.0]).await?;
    Error::expect_rows(RELEASE_HEAD.name, 1, released)
}

/// Moves a locked head to the next incarnation and ends its hold.
///
/// # Errors
/// When it is not in the incarnation before, or PostgreSQL fails.
pub async fn begin_incarnation(
    session: &Session<'_>,
    experiment: ExperimentId,
    incarnation: i32,
) -> Result<(), Error> {
    let begun = session
        .execute(BEGIN_INCARNATION, &[&experiment.0, &incarnation])
        .await?;
    Error::expect_rows(BEGIN_INCARNATION.name, 1, begun)
}

/// The trails whose last entry no checkpoint of their incarnation covers, but for those on hold.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn unsigned(session: &Session<'_>) -> Result<Vec<ExperimentId>, Error> {
    ids(session, LIST_UNSIGNED).await
}

/// The trails of completed experiments that are not sealed yet, but for those on hold.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn unsealed(session: &Session<'_>) -> Result<Vec<ExperimentId>, Error> {
    ids(session, LIST_UNSEALED).await
}

/// How many trails are on hold.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn count_on_hold(session: &Session<'_>) -> Result<u64, Error> {
    let row = session.query_opt(COUNT_ON_HOLD, &[]).await?;
    let count = row.map(|row| Columns::new(&row, "audit_heads").get::<i64>(0, "count"));
    Ok(u64::try_from(count.transpose()?.unwrap_or(0)).unwrap_or(0))
}

async fn ids(session: &Session<'_>, statement: Statement) -> Result<Vec<ExperimentId>, Error> {
    let rows = session.query(statement, &[]).await?;
    let ids = rows.iter().map(|row| {
        let of = Columns::new(row, "audit_heads");
        of.get(0, "experiment_id").map(ExperimentId)
    });
    ids.collect()
}
