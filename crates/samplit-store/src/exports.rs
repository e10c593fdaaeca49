//! Visitors, conversions and snapshots by pages, for exports of any length.
//!
//! Each page is one short statement over one stretch of an index. What a trail has is read in its order,
//! in which nothing is ever put before what is there: a page that was read stays what it was, and
//! whoever goes on behind it misses nothing.

use samplit_domain::{AssignmentId, ExperimentId, VariantId};
use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};
use crate::statistics::{self, ArmStatistics};
use crate::trail::EntryRow;

/// What [`Exported::from_row`] reads. An erased visitor has none.
macro_rules! columns {
    () => {
        "a.id, nullif(a.user_identifier, 'erased:' || a.id), a.session_id, a.variant_id, \
         a.metadata -> 'variants', a.context::text, a.assigned_at, a.snapshot_seq, a.converted_at, \
         a.conversion_value, a.conversion_event_id, a.conversion_seq"
    };
}

statements! {
    /// Visitors whose first entries are in one stretch of a trail, in its order.
    EXPORT_ASSIGNMENTS = concat!("SELECT ", columns!(), ", t.sequence_number \
        FROM algorithm_audit_trail t \
        JOIN assignments a ON a.id = t.id AND a.experiment_id = t.experiment_id \
        WHERE t.experiment_id = $1 AND t.sequence_number > $2 AND t.sequence_number <= $3 \
        AND t.decision_type = 'assignment' ORDER BY t.sequence_number");
    /// Visitors older than the trail, by id.
    EXPORT_OLDER = concat!("SELECT ", columns!(), ", NULL::bigint FROM assignments a \
        WHERE a.experiment_id = $1 AND a.snapshot_seq IS NULL AND a.id >= $2 \
        ORDER BY a.id LIMIT $3");
    /// Visitors who converted, in the order in which the trail tells it; older ones first.
    EXPORT_CONVERSIONS = concat!("SELECT ", columns!(), ", NULL::bigint FROM assignments a \
        WHERE a.experiment_id = $1 AND a.converted_at IS NOT NULL \
        AND (coalesce(a.conversion_seq, 0::bigint), a.id) > ($2, $3) \
        AND coalesce(a.conversion_seq, 0::bigint) <= $4 \
        ORDER BY a.experiment_id, coalesce(a.conversion_seq, 0::bigint), a.id LIMIT $5");
    /// The entries that set weights, some of them, in order.
    EXPORT_SNAPSHOTS = "SELECT id, sequence_number, decision_type, decision_data::text, previous_hash, \
        current_hash, created_at FROM algorithm_audit_trail \
        WHERE experiment_id = $1 AND sequence_number > $2 AND sequence_number <= $3 \
        AND decision_type NOT IN ('assignment', 'conversion') \
        AND decision_type IN ('genesis', 'reallocation') ORDER BY sequence_number LIMIT $4";
    /// The statistics of some snapshots.
    EXPORT_STATISTICS = "SELECT experiment_id, element, arm, assignments, conversions, value_sum, \
        value_sum_squares, snapshot_seq FROM variant_statistics WHERE experiment_id = $1 \
        AND snapshot_seq > $2 AND snapshot_seq <= $3 ORDER BY snapshot_seq, element, arm";
    /// The statistics of all snapshots up to one, added up.
    TOTAL_STATISTICS_UPTO = "SELECT experiment_id, element, arm, sum(assignments)::bigint, \
        sum(conversions)::bigint, sum(value_sum), sum(value_sum_squares), 0::bigint \
        FROM variant_statistics WHERE experiment_id = $1 AND snapshot_seq <= $2 \
        GROUP BY experiment_id, element, arm";
}

/// A visitor's row with all that is kept of it. Rows of an adopted database may lack nearly everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Its id.
    pub id: AssignmentId,
    /// The visitor; `None` once erased.
    pub visitor: Option<String>,
    /// The visit.
    pub session: Option<String>,
    /// The variant of the first element.
    pub variant_id: Option<VariantId>,
    /// `{element_id: variant_id}` where there are several elements.
    pub variants: Option<Json>,
    /// What is known of the visitor, JSON text.
    pub context: Option<String>,
    /// When.
    pub assigned_at: Option<OffsetDateTime>,
    /// The snapshot whose weights were used; `None` for rows older than the trail.
    pub snapshot_seq: Option<i64>,
    /// When the visitor converted.
    pub converted_at: Option<OffsetDateTime>,
    /// What that was worth.
    pub value: Option<f64>,
    /// The event that counted.
    pub event_id: Option<String>,
    /// The sequence number of the conversion's entry.
    pub conversion_seq: Option<i64>,
    /// The sequence number of the first entry, where the rows are read in the order of the trail.
    pub assignment_seq: Option<i64>,
}

impl Exported {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let of = Columns::new(row, "assignments");
        let id: Uuid = of.get(0, "id")?;
        Self::decode(of, id).map_err(|error| error.within(format_args!("row {id}")))
    }

    fn decode(of: Columns<'_>, id: Uuid) -> Result<Self, Error> {
        Ok(Self {
            id: AssignmentId(id),
            visitor: of.get(1, "user_identifier")?,
            session: of.get(2, "session_id")?,
            variant_id: of.get::<Option<Uuid>>(3, "variant_id")?.map(VariantId),
            variants: of.get(4, "metadata")?,
            context: of.get(5, "context")?,
            assigned_at: of.get(6, "assigned_at")?,
            snapshot_seq: of.get(7, "snapshot_seq")?,
            converted_at: of.get(8, "converted_at")?,
            value: of.get(9, "conversion_value")?,
            event_id: of.get(10, "conversion_event_id")?,
            conversion_seq: of.get(11, "conversion_seq")?,
            assignment_seq: of.get(12, "sequence_number")?,
        })
    }
}

/// The visitors whose first entries stand behind `after` and up to `upto`, in the order of the trail.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no type of ours can.
pub async fn assignments(
    session: &Session<'_>,
    experiment: ExperimentId,
    after: i64,
    upto: i64,
) -> Result<Vec<Exported>, Error> {
    let rows = session
        .query(EXPORT_ASSIGNMENTS, &[&experiment.0, &after, &upto])
        .await?;
    rows.iter().map(Exported::from_row).collect()
}

/// At most `limit` visitors older than the trail, by id, from `from` on.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no type of ours can.
pub async fn older(
    session: &Session<'_>,
    experiment: ExperimentId,
    from: Uuid,
    limit: i64,
) -> Result<Vec<Exported>, Error> {
    let rows = session
        .query(EXPORT_OLDER, &[&experiment.0, &from, &limit])
        .await?;
    rows.iter().map(Exported::from_row).collect()
}

/// At most `limit` visitors who converted, by the sequence number of that (0 where there is none) and
/// then by id, behind `after` and up to the sequence number `upto`.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no type of ours can.
pub async fn conversions(
    session: &Session<'_>,
    experiment: ExperimentId,
    after: (i64, Uuid),
    upto: i64,
    limit: i64,
) -> Result<Vec<Exported>, Error> {
    let (sequence, id) = after;
    let rows = session
        .query(
            EXPORT_CONVERSIONS,
            &[&experiment.0, &sequence, &id, &upto, &limit],
        )
        .await?;
    rows.iter().map(Exported::from_row).collect()
}

/// At most `limit` entries that set weights, behind `after` and up to `upto`, in order.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no type of ours can.
pub async fn snapshots(
    session: &Session<'_>,
    experiment: ExperimentId,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<EntryRow>, Error> {
    let rows = session
        .query(EXPORT_SNAPSHOTS, &[&experiment.0, &after, &upto, &limit])
        .await?;
    rows.iter().map(EntryRow::from_row).collect()
}

/// The statistics of the snapshots behind `after` and up to `upto`, in order.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn statistics(
    session: &Session<'_>,
    experiment: ExperimentId,
    after: i64,
    upto: i64,
) -> Result<Vec<ArmStatistics>, Error> {
    let rows = session
        .query(EXPORT_STATISTICS, &[&experiment.0, &after, &upto])
        .await?;
    rows.iter().map(statistics::from_row).collect()
}

/// The statistics of all snapshots up to `upto`, added up by element and arm, under snapshot 0.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn totals_upto(
    session: &Session<'_>,
    experiment: ExperimentId,
    upto: i64,
) -> Result<Vec<ArmStatistics>, Error> {
    let rows = session
        .query(TOTAL_STATISTICS_UPTO, &[&experiment.0, &upto])
        .await?;
    rows.iter().map(statistics::from_row).collect()
}
