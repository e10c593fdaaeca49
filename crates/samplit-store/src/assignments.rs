//! `assignments`: one row per visitor and experiment.

use samplit_domain::{AssignmentId, ExperimentId, VariantId};
use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};
use crate::trail::RawJson;

statements! {
    /// The rows of visitors; parallel arrays name them. LATERAL with its LIMIT keeps it one index
    /// probe per visitor. A row and its first trail entry share an id.
    FIND_ASSIGNMENTS = "SELECT a.experiment_id, a.user_identifier, a.id, a.variant_id, \
        a.metadata -> 'variants', a.assigned_at, t.sequence_number, a.snapshot_seq, a.converted_at, \
        a.conversion_value, a.conversion_event_id, a.conversion_seq \
        FROM unnest($1::uuid[], $2::varchar[]) AS q(experiment_id, user_identifier) \
        CROSS JOIN LATERAL (SELECT * FROM assignments a WHERE a.experiment_id = q.experiment_id \
        AND a.user_identifier = q.user_identifier LIMIT 1) AS a \
        LEFT JOIN algorithm_audit_trail t ON t.id = a.id AND t.experiment_id = a.experiment_id";
    /// New visitors; says which of them are new indeed. Waits for a transaction in flight that
    /// inserts the same visitor.
    INSERT_ASSIGNMENTS = "INSERT INTO assignments (id, experiment_id, variant_id, user_identifier, \
        session_id, context, assigned_at, metadata, snapshot_seq) \
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::varchar[], $5::varchar[], \
        $6::jsonb[], $7::timestamptz[], $8::jsonb[], $9::bigint[]) \
        ON CONFLICT (experiment_id, user_identifier) DO NOTHING RETURNING id";
    /// Conversions. The guard makes a second one a no-op, whatever the race.
    CONVERT_ASSIGNMENTS = "UPDATE assignments a SET converted_at = d.converted_at, \
        conversion_value = d.conversion_value, conversion_event_id = d.event_id, \
        conversion_seq = d.sequence_number \
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::float8[], $5::varchar[], $6::bigint[]) \
        AS d(experiment_id, id, converted_at, conversion_value, event_id, sequence_number) \
        WHERE a.id = d.id AND a.experiment_id = d.experiment_id AND a.converted_at IS NULL";
    /// Counts of an experiment by the variants shown and, if asked for, by a key of the context.
    /// Rows without that key count under null.
    COUNT_ASSIGNMENTS = "SELECT variant_id, metadata -> 'variants', count(*), count(converted_at), \
        coalesce(sum(conversion_value) FILTER (WHERE converted_at IS NOT NULL), 0)::float8, \
        coalesce(sum(conversion_value * conversion_value) \
        FILTER (WHERE converted_at IS NOT NULL), 0)::float8, context ->> $2 \
        FROM assignments WHERE experiment_id = $1 GROUP BY 1, 2, 7 ORDER BY 1, 2, 7";
    /// Conversions of an experiment after a moment, by snapshot and the variants shown.
    COUNT_LATE_CONVERSIONS = "SELECT coalesce(snapshot_seq, 0), variant_id, metadata -> 'variants', \
        count(*), coalesce(sum(conversion_value), 0)::float8, \
        coalesce(sum(conversion_value * conversion_value), 0)::float8 \
        FROM assignments WHERE experiment_id = $1 AND converted_at > $2 GROUP BY 1, 2, 3";
}

/// A visitor's row.
#[derive(Clone, Debug, PartialEq)]
pub struct AssignmentRow {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// The visitor.
    pub visitor: String,
    /// Its id.
    pub id: AssignmentId,
    /// The variant of the first element; `None` only in rows older than the trail.
    pub variant_id: Option<VariantId>,
    /// `{element_id: variant_id}` where there are several elements.
    pub variants: Option<Json>,
    /// When.
    pub assigned_at: OffsetDateTime,
    /// The sequence number of its first trail entry; `None` for rows older than the trail.
    pub assignment_seq: Option<i64>,
    /// The snapshot whose weights were used; `None` for rows older than the trail.
    pub snapshot_seq: Option<i64>,
    /// The conversion, if there was one.
    pub conversion: Option<ConversionRow>,
}

/// The conversion of a visitor.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversionRow {
    /// When.
    pub converted_at: OffsetDateTime,
    /// What it was worth.
    pub value: f64,
    /// The event that counted; `None` for rows older than event ids.
    pub event_id: Option<String>,
    /// The sequence number of its trail entry; `None` for rows older than that column.
    pub sequence: Option<i64>,
}

/// A row to insert.
#[derive(Clone, Debug)]
pub struct NewAssignment {
    /// Its id, and that of its first trail entry.
    pub id: Uuid,
    /// Of which experiment.
    pub experiment_id: Uuid,
    /// The variant of the first element.
    pub variant_id: Uuid,
    /// The visitor.
    pub visitor: String,
    /// The visit.
    pub session: Option<String>,
    /// What is known of the visitor.
    pub context: RawJson,
    /// When.
    pub assigned_at: OffsetDateTime,
    /// `{"variants": {element_id: variant_id}}` where there are several elements.
    pub metadata: Option<RawJson>,
    /// The snapshot whose weights were used.
    pub snapshot_seq: i64,
}

/// A conversion to store.
#[derive(Clone, Debug)]
pub struct NewConversion {
    /// Of which experiment.
    pub experiment_id: Uuid,
    /// Of which row.
    pub assignment_id: Uuid,
    /// When.
    pub converted_at: OffsetDateTime,
    /// What it was worth.
    pub value: f64,
    /// The event that counts.
    pub event_id: String,
    /// The sequence number of its trail entry.
    pub sequence: i64,
}

/// The rows of visitors, named by parallel slices; visitors without a row are missing.
///
/// # Errors
/// When PostgreSQL fails, a row has no variant, or one cannot be decoded.
pub async fn find(
    session: &Session<'_>,
    experiments: &[Uuid],
    visitors: &[&str],
) -> Result<Vec<AssignmentRow>, Error> {
    let rows = session
        .query(FIND_ASSIGNMENTS, &[&experiments, &visitors])
        .await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Result<AssignmentRow, Error> {
    let of = Columns::new(row, "assignments");
    let id: Uuid = of.get(2, "id")?;
    decode(of, id).map_err(|error| error.within(format_args!("row {id}")))
}

fn decode(of: Columns<'_>, id: Uuid) -> Result<AssignmentRow, Error> {
    let converted_at: Option<OffsetDateTime> = of.get(8, "converted_at")?;
    let conversion = match converted_at {
        None => None,
        Some(converted_at) => Some(ConversionRow {
            converted_at,
            value: of
                .get::<Option<f64>>(9, "conversion_value")?
                .unwrap_or(samplit_domain::DEFAULT_CONVERSION_VALUE),
            event_id: of.get(10, "conversion_event_id")?,
            sequence: of.get(11, "conversion_seq")?,
        }),
    };
    Ok(AssignmentRow {
        experiment_id: ExperimentId(of.get(0, "experiment_id")?),
        visitor: of.get(1, "user_identifier")?,
        id: AssignmentId(id),
        variant_id: variant(of, 3)?,
        variants: of.get(4, "metadata")?,
        assigned_at: of
            .get::<Option<_>>(5, "assigned_at")?
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        assignment_seq: of.get(6, "sequence_number")?,
        snapshot_seq: of.get(7, "snapshot_seq")?,
        conversion,
    })
}

fn variant(of: Columns<'_>, index: usize) -> Result<Option<VariantId>, Error> {
    let variant: Option<Uuid> = of.get(index, "variant_id")?;
    Ok(variant.map(VariantId))
}

/// Inserts the visitors that have no row yet, and gives back the ids of the rows it made.
///
/// `rows` have to come in the order of experiment and visitor: two transactions that insert the same
/// visitors wait for each other in that order and cannot deadlock.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, rows: &[NewAssignment]) -> Result<Vec<Uuid>, Error> {
    debug_assert!(rows.is_sorted_by_key(|r| (r.experiment_id, r.visitor.as_str())));
    let ids: Vec<Uuid> = rows.iter().map(|r| r.id).collect();
    let experiments: Vec<Uuid> = rows.iter().map(|r| r.experiment_id).collect();
    let variants: Vec<Uuid> = rows.iter().map(|r| r.variant_id).collect();
    let visitors: Vec<&str> = rows.iter().map(|r| r.visitor.as_str()).collect();
    let sessions: Vec<Option<&str>> = rows.iter().map(|r| r.session.as_deref()).collect();
    let contexts: Vec<&RawJson> = rows.iter().map(|r| &r.context).collect();
    let times: Vec<OffsetDateTime> = rows.iter().map(|r| r.assigned_at).collect();
    let metadata: Vec<Option<&RawJson>> = rows.iter().map(|r| r.metadata.as_ref()).collect();
    let snapshots: Vec<i64> = rows.iter().map(|r| r.snapshot_seq).collect();
    let inserted = session
        .query(
            INSERT_ASSIGNMENTS,
            &[
                &ids,
                &experiments,
                &variants,
                &visitors,
                &sessions,
                &contexts,
                &times,
                &metadata,
                &snapshots,
            ],
        )
        .await?;
    let ids = inserted.iter();
    ids.map(|row| Columns::new(row, "assignments").get(0, "id"))
        .collect()
}

/// Stores conversions of rows that have none.
///
/// # Errors
/// Retryable when one of them has a conversion by now; else when PostgreSQL fails.
pub async fn convert(session: &Session<'_>, rows: &[NewConversion]) -> Result<(), Error> {
    let experiments: Vec<Uuid> = rows.iter().map(|r| r.experiment_id).collect();
    let ids: Vec<Uuid> = rows.iter().map(|r| r.assignment_id).collect();
    let times: Vec<OffsetDateTime> = rows.iter().map(|r| r.converted_at).collect();
    let values: Vec<f64> = rows.iter().map(|r| r.value).collect();
    let events: Vec<&str> = rows.iter().map(|r| r.event_id.as_str()).collect();
    let sequences: Vec<i64> = rows.iter().map(|r| r.sequence).collect();
    let moved = session
        .execute(
            CONVERT_ASSIGNMENTS,
            &[&experiments, &ids, &times, &values, &events, &sequences],
        )
        .await?;
    Error::expect_rows_or_race(CONVERT_ASSIGNMENTS.name, rows.len() as u64, moved)
}

/// What the rows of one combination of variants add up to.
#[derive(Clone, Debug, PartialEq)]
pub struct AssignmentCount {
    /// The variant of the first element; `None` only in rows older than the trail.
    pub variant_id: Option<VariantId>,
    /// `{element_id: variant_id}` where there are several elements.
    pub variants: Option<Json>,
    /// Rows.
    pub assignments: i64,
    /// Of those, converted.
    pub conversions: i64,
    /// Sum of the conversion values.
    pub value_sum: f64,
    /// Sum of their squares.
    pub value_sum_squares: f64,
    /// The value of the context key counted by; `None` where there is none.
    pub segment: Option<String>,
}

/// Counts all rows of an experiment by the variants shown and by `key` of the context, if given.
/// Scans them: for taking over rows older than the trail, and for questions asked afterwards.
///
/// # Errors
/// When PostgreSQL fails, a row has no variant, or one cannot be decoded.
pub async fn count(
    session: &Session<'_>,
    experiment: ExperimentId,
    key: Option<&str>,
) -> Result<Vec<AssignmentCount>, Error> {
    let rows = session
        .query(COUNT_ASSIGNMENTS, &[&experiment.0, &key])
        .await?;
    let counts = rows.iter().map(|row| {
        let of = Columns::new(row, "assignments");
        Ok(AssignmentCount {
            variant_id: variant(of, 0)?,
            variants: of.get(1, "metadata")?,
            assignments: of.get(2, "id")?,
            conversions: of.get(3, "converted_at")?,
            value_sum: of.get(4, "conversion_value")?,
            value_sum_squares: of.get(5, "conversion_value")?,
            segment: of.get(6, "context")?,
        })
    });
    counts.collect()
}

/// Conversions that one combination of variants under one snapshot had after a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LateConversions {
    /// The snapshot whose weights were used; 0 for rows older than the trail.
    pub snapshot_seq: i64,
    /// The variant of the first element; `None` only in rows older than the trail.
    pub variant_id: Option<VariantId>,
    /// `{element_id: variant_id}` where there are several elements.
    pub variants: Option<Json>,
    /// How many.
    pub conversions: i64,
    /// Sum of their values.
    pub value_sum: f64,
    /// Sum of the squares.
    pub value_sum_squares: f64,
}

/// The conversions of an experiment after `moment`. Scans its rows.
///
/// # Errors
/// When PostgreSQL fails, or a row cannot be decoded.
pub async fn late_conversions(
    session: &Session<'_>,
    experiment: ExperimentId,
    moment: OffsetDateTime,
) -> Result<Vec<LateConversions>, Error> {
    let rows = session
        .query(COUNT_LATE_CONVERSIONS, &[&experiment.0, &moment])
        .await?;
    let late = rows.iter().map(|row| {
        let of = Columns::new(row, "assignments");
        Ok(LateConversions {
            snapshot_seq: of.get(0, "snapshot_seq")?,
            variant_id: variant(of, 1)?,
            variants: of.get(2, "metadata")?,
            conversions: of.get(3, "converted_at")?,
            value_sum: of.get(4, "conversion_value")?,
            value_sum_squares: of.get(5, "conversion_value")?,
        })
    });
    late.collect()
}
