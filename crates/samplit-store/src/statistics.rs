//! `variant_statistics`: sufficient statistics per snapshot, element and arm.

use samplit_domain::ExperimentId;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// Adds what one batch did.
    ADD_STATISTICS = "INSERT INTO variant_statistics AS s (experiment_id, snapshot_seq, element, arm, \
        assignments, conversions, value_sum, value_sum_squares) \
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::smallint[], $5::bigint[], \
        $6::bigint[], $7::float8[], $8::float8[]) \
        ON CONFLICT (experiment_id, snapshot_seq, element, arm) DO UPDATE SET \
        assignments = s.assignments + excluded.assignments, \
        conversions = s.conversions + excluded.conversions, \
        value_sum = s.value_sum + excluded.value_sum, \
        value_sum_squares = s.value_sum_squares + excluded.value_sum_squares";
    /// The totals over all snapshots, by element and arm.
    TOTAL_STATISTICS = "SELECT experiment_id, element, arm, sum(assignments)::bigint, \
        sum(conversions)::bigint, sum(value_sum), sum(value_sum_squares) FROM variant_statistics \
        WHERE experiment_id = ANY($1) GROUP BY experiment_id, element, arm \
        ORDER BY experiment_id, element, arm";
    /// The statistics of every snapshot, in order.
    READ_STATISTICS = "SELECT experiment_id, element, arm, assignments, conversions, value_sum, \
        value_sum_squares, snapshot_seq FROM variant_statistics WHERE experiment_id = $1 \
        ORDER BY snapshot_seq, element, arm";
}

const TABLE: &str = "variant_statistics";

/// What one arm has to show for, under one snapshot or in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmStatistics {
    /// Whose arm.
    pub experiment_id: ExperimentId,
    /// The snapshot its assignments were drawn under; 0: before the trail began, or all together.
    pub snapshot_seq: i64,
    /// Which draw.
    pub element: i16,
    /// Which arm of it.
    pub arm: i16,
    /// Visitors assigned.
    pub assignments: i64,
    /// Of those, converted.
    pub conversions: i64,
    /// Sum of the conversion values.
    pub value_sum: f64,
    /// Sum of their squares.
    pub value_sum_squares: f64,
}

impl ArmStatistics {
    fn decode(of: Columns<'_>, snapshot_seq: i64) -> Result<Self, Error> {
        Ok(Self {
            experiment_id: ExperimentId(of.get(0, "experiment_id")?),
            snapshot_seq,
            element: of.get(1, "element")?,
            arm: of.get(2, "arm")?,
            assignments: of.get(3, "assignments")?,
            conversions: of.get(4, "conversions")?,
            value_sum: of.get(5, "value_sum")?,
            value_sum_squares: of.get(6, "value_sum_squares")?,
        })
    }
}

/// Adds `deltas` to what is there.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn add(session: &Session<'_>, deltas: &[ArmStatistics]) -> Result<(), Error> {
    let experiments: Vec<Uuid> = deltas.iter().map(|d| d.experiment_id.0).collect();
    let snapshots: Vec<i64> = deltas.iter().map(|d| d.snapshot_seq).collect();
    let elements: Vec<i16> = deltas.iter().map(|d| d.element).collect();
    let arms: Vec<i16> = deltas.iter().map(|d| d.arm).collect();
    let assignments: Vec<i64> = deltas.iter().map(|d| d.assignments).collect();
    let conversions: Vec<i64> = deltas.iter().map(|d| d.conversions).collect();
    let values: Vec<f64> = deltas.iter().map(|d| d.value_sum).collect();
    let squares: Vec<f64> = deltas.iter().map(|d| d.value_sum_squares).collect();
    session
        .execute(
            ADD_STATISTICS,
            &[
                &experiments,
                &snapshots,
                &elements,
                &arms,
                &assignments,
                &conversions,
                &values,
                &squares,
            ],
        )
        .await
        .map(drop)
}

/// The totals of several experiments; arms nobody was assigned to are missing.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn totals(
    session: &Session<'_>,
    experiments: &[Uuid],
) -> Result<Vec<ArmStatistics>, Error> {
    let rows = session.query(TOTAL_STATISTICS, &[&experiments]).await?;
    rows.iter()
        .map(|row| ArmStatistics::decode(Columns::new(row, TABLE), 0))
        .collect()
}

/// The statistics of one experiment by snapshot, in order.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn by_snapshot(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Vec<ArmStatistics>, Error> {
    let rows = session.query(READ_STATISTICS, &[&experiment.0]).await?;
    rows.iter().map(from_row).collect()
}

/// A row of a statement that tells the snapshot last.
pub(crate) fn from_row(row: &Row) -> Result<ArmStatistics, Error> {
    let of = Columns::new(row, TABLE);
    ArmStatistics::decode(of, of.get(7, "snapshot_seq")?)
}
