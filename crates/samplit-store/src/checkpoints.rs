//! `audit_checkpoints`: signed statements of size and root, stored once and for ever.

use samplit_domain::ExperimentId;
use time::OffsetDateTime;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

/// What [`CheckpointRow::from_row`] reads.
macro_rules! columns {
    () => {
        "experiment_id, incarnation, size, root, note, signed_at, frontier"
    };
}

statements! {
    /// A checkpoint, unless there is one of that size.
    INSERT_CHECKPOINT = "INSERT INTO audit_checkpoints (experiment_id, incarnation, size, root, note, \
        signed_at, frontier) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    /// One checkpoint.
    READ_CHECKPOINT = concat!("SELECT ", columns!(), " FROM audit_checkpoints \
        WHERE experiment_id = $1 AND incarnation = $2 AND size = $3");
    /// The largest checkpoint of an incarnation.
    LATEST_CHECKPOINT = concat!("SELECT ", columns!(), " FROM audit_checkpoints \
        WHERE experiment_id = $1 AND incarnation = $2 ORDER BY size DESC LIMIT 1");
    /// A page of the checkpoints of an incarnation, by size.
    READ_CHECKPOINTS = concat!("SELECT ", columns!(), " FROM audit_checkpoints \
        WHERE experiment_id = $1 AND incarnation = $2 AND size > $3 AND size <= $4 \
        ORDER BY size LIMIT $5");
    /// The checkpoints of an incarnation that the restore at an entry gave up, by size.
    READ_ABANDONED = concat!("SELECT ", columns!(), " FROM audit_checkpoints \
        WHERE experiment_id = $1 AND incarnation = $2 AND (size >= $3 OR frontier IS NULL) \
        ORDER BY size");
    /// The largest checkpoint of each trail, by experiment.
    NEWEST_CHECKPOINTS = "SELECT c.* FROM audit_heads h CROSS JOIN LATERAL ( \
        SELECT experiment_id, incarnation, size, root, note, signed_at, frontier \
        FROM audit_checkpoints WHERE experiment_id = h.experiment_id \
        AND incarnation = h.incarnation ORDER BY size DESC LIMIT 1) c \
        WHERE h.experiment_id > $1 ORDER BY h.experiment_id LIMIT $2";
}

/// A stored checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// Of which trail.
    pub experiment_id: ExperimentId,
    /// In which incarnation it was signed, from 1.
    pub incarnation: i32,
    /// Entries that it covers.
    pub size: i64,
    /// The Merkle root over them, 64 hex digits.
    pub root: String,
    /// The signed note.
    pub note: String,
    /// When.
    pub signed_at: OffsetDateTime,
    /// The Merkle frontier; `None` for one that was taken over from outside.
    pub frontier: Option<Vec<u8>>,
}

impl CheckpointRow {
    fn from_row(row: &tokio_postgres::Row) -> Result<Self, Error> {
        let of = Columns::new(row, "audit_checkpoints");
        Ok(Self {
            experiment_id: ExperimentId(of.get(0, "experiment_id")?),
            incarnation: of.get(1, "incarnation")?,
            size: of.get(2, "size")?,
            root: of.get(3, "root")?,
            note: of.get(4, "note")?,
            signed_at: of.get(5, "signed_at")?,
            frontier: of.get(6, "frontier")?,
        })
    }
}

/// Stores a checkpoint and says whether it is new; where there is one of that size, that one stays.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, row: &CheckpointRow) -> Result<bool, Error> {
    let inserted = session
        .execute(
            INSERT_CHECKPOINT,
            &[
                &row.experiment_id.0,
                &row.incarnation,
                &row.size,
                &row.root,
                &row.note,
                &row.signed_at,
                &row.frontier,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// The checkpoint of exactly `size`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn read(
    session: &Session<'_>,
    experiment: ExperimentId,
    incarnation: i32,
    size: i64,
) -> Result<Option<CheckpointRow>, Error> {
    let row = session
        .query_opt(READ_CHECKPOINT, &[&experiment.0, &incarnation, &size])
        .await?;
    row.as_ref().map(CheckpointRow::from_row).transpose()
}

/// The largest checkpoint of an incarnation.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn latest(
    session: &Session<'_>,
    experiment: ExperimentId,
    incarnation: i32,
) -> Result<Option<CheckpointRow>, Error> {
    let row = session
        .query_opt(LATEST_CHECKPOINT, &[&experiment.0, &incarnation])
        .await?;
    row.as_ref().map(CheckpointRow::from_row).transpose()
}

/// The checkpoints of an incarnation with `after < size <= upto`, by size, at most `limit`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn page(
    session: &Session<'_>,
    experiment: ExperimentId,
    incarnation: i32,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<CheckpointRow>, Error> {
    let rows = session
        .query(
            READ_CHECKPOINTS,
            &[&experiment.0, &incarnation, &after, &upto, &limit],
        )
        .await?;
    rows.iter().map(CheckpointRow::from_row).collect()
}

/// The checkpoints of an incarnation that were given up when the entry `restore` began the next
/// one, by size: those that reach as far, and those taken over from outside.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn abandoned(
    session: &Session<'_>,
    experiment: ExperimentId,
    incarnation: i32,
    restore: i64,
) -> Result<Vec<CheckpointRow>, Error> {
    let rows = session
        .query(READ_ABANDONED, &[&experiment.0, &incarnation, &restore])
        .await?;
    rows.iter().map(CheckpointRow::from_row).collect()
}

/// The largest checkpoint of each trail in its present incarnation, of the experiments behind
/// `after` in id order, at most `limit`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn newest(
    session: &Session<'_>,
    after: ExperimentId,
    limit: i64,
) -> Result<Vec<CheckpointRow>, Error> {
    let rows = session
        .query(NEWEST_CHECKPOINTS, &[&after.0, &limit])
        .await?;
    rows.iter().map(CheckpointRow::from_row).collect()
}
