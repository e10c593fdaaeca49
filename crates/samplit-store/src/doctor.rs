//! Comparing what is stored in more than one place. Reads everything of an experiment: for `doctor`,
//! not for requests.

use samplit_domain::{ExperimentId, VariantId};
use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Params, Session, Statement, statements};

/// What is read of a row, of its first entry `t` and of its conversion `c`.
macro_rules! row_columns {
    () => {
        "SELECT a.id, a.user_identifier, a.variant_id, a.metadata -> 'variants', \
        a.snapshot_seq, a.converted_at, a.conversion_value, a.conversion_seq, t.sequence_number, \
        (SELECT array_agg(x.decision_data::text ORDER BY x.sequence_number) \
            FROM algorithm_audit_trail x WHERE x.experiment_id = $1 \
            AND x.sequence_number >= t.sequence_number AND x.sequence_number < t.sequence_number + $4), \
        c.decision_type, c.decision_data::text, c.created_at "
    };
}

statements! {
    /// Everything that follows in this transaction sees the same moment, and changes nothing.
    BEGIN_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    /// Lets the rest of the transaction scan tables: statements that read an experiment as a whole
    /// are not better off with keys.
    PLAN_FOR_SCANS = "SELECT set_config('enable_seqscan', 'on', true), \
        set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)";
    /// The experiments that have a trail, or entries of one.
    LIST_TRAILS = "SELECT e.id FROM experiments e WHERE EXISTS (SELECT FROM audit_heads h \
        WHERE h.experiment_id = e.id) OR EXISTS (SELECT FROM algorithm_audit_trail t \
        WHERE t.experiment_id = e.id) ORDER BY 1";
    /// The rows of an experiment, and its visitors.
    COMPARE_VISITORS = "SELECT 'visitors with a row of their own', count(*), \
        count(DISTINCT user_identifier) FROM assignments WHERE experiment_id = $1";
    /// The rows of an experiment and the entries that they name, each looked up: those that have
    /// none, and entries without a row. An entry of a further element has no row of its own; which
    /// one was redacted among several elements can no longer be told.
    COMPARE_TRAIL = "WITH entries AS ( \
            SELECT t.id FROM algorithm_audit_trail t WHERE t.experiment_id = $1 \
            AND t.decision_type = 'assignment' \
            AND coalesce((t.decision_data ->> 'element')::int, 0) = 0 \
            AND NOT (t.decision_data ? 'payload_sha256' AND EXISTS ( \
                SELECT FROM algorithm_audit_trail g WHERE g.experiment_id = $1 \
                AND g.sequence_number = 1 AND g.decision_data ->> 'mode' = 'independent'))), \
        rows AS (SELECT id FROM assignments WHERE experiment_id = $1 AND snapshot_seq IS NOT NULL), \
        conversions AS (SELECT count(*) AS n FROM algorithm_audit_trail \
            WHERE experiment_id = $1 AND decision_type = 'conversion'), \
        carried AS (SELECT coalesce(sum((c.one ->> 's')::bigint), 0)::bigint AS s \
            FROM algorithm_audit_trail g, jsonb_array_elements(g.decision_data -> 'carried') AS c(one) \
            WHERE g.experiment_id = $1 AND g.decision_type = 'genesis' \
            AND (c.one ->> 'element')::int = 0) \
        SELECT 'rows without an entry', 0::bigint, (SELECT count(*) FROM rows r WHERE NOT EXISTS ( \
            SELECT FROM algorithm_audit_trail t WHERE t.id = r.id AND t.experiment_id = $1 \
            AND t.decision_type = 'assignment')) \
        UNION ALL SELECT 'entries without a row', 0::bigint, (SELECT count(*) FROM entries e \
            WHERE NOT EXISTS (SELECT FROM assignments a WHERE a.id = e.id AND a.experiment_id = $1)) \
        UNION ALL SELECT 'conversions', (SELECT count(*) FROM assignments \
            WHERE experiment_id = $1 AND converted_at IS NOT NULL), \
            (SELECT n FROM conversions) + (SELECT s FROM carried) \
        UNION ALL SELECT 'conversions with an entry of their own', count(conversion_seq), \
            count(DISTINCT conversion_seq) FROM assignments WHERE experiment_id = $1";
    /// The sequence numbers of a trail: from 1 without a gap.
    COMPARE_SEQUENCES = "SELECT c.what, c.expected, c.found FROM ( \
            SELECT count(*) AS n, coalesce(min(sequence_number), 0) AS first, \
            coalesce(max(sequence_number), 0) AS last FROM algorithm_audit_trail \
            WHERE experiment_id = $1) t \
        CROSS JOIN LATERAL (VALUES \
            ('first sequence number', 1::bigint, t.first), \
            ('entries up to the last sequence number', t.last, t.n) \
        ) AS c(what, expected, found)";
    /// The head of a trail and the entries that it names.
    COMPARE_HEAD = "WITH h AS (SELECT * FROM audit_heads WHERE experiment_id = $1), \
        trail AS (SELECT * FROM algorithm_audit_trail WHERE experiment_id = $1) \
        SELECT 'heads', 1::bigint, (SELECT count(*) FROM h) \
        UNION ALL SELECT 'entries with the hash and time of the head at its size', 1::bigint, \
            (SELECT count(*) FROM h JOIN trail t ON t.sequence_number = h.size \
            AND t.current_hash = h.head_hash \
            AND round(extract(epoch FROM t.created_at) * 1000000)::bigint = h.last_us) \
        UNION ALL SELECT 'entries behind the head', 0::bigint, \
            (SELECT count(*) FROM h JOIN trail t ON t.sequence_number > h.size) \
        UNION ALL SELECT 'entries with the weights in force', 1::bigint, \
            (SELECT count(*) FROM h JOIN trail t ON t.sequence_number = h.snapshot_seq \
            AND t.decision_type IN ('genesis', 'reallocation'))";
    /// The seal of a trail: what the head says and what there is.
    COMPARE_SEAL = "WITH h AS (SELECT size, sealed_us FROM audit_heads WHERE experiment_id = $1), \
        trail AS (SELECT * FROM algorithm_audit_trail WHERE experiment_id = $1 \
            AND decision_type NOT IN ('assignment', 'conversion')), \
        seal AS (SELECT sequence_number, round(extract(epoch FROM created_at) * 1000000)::bigint AS us \
            FROM trail WHERE decision_type = 'seal') \
        SELECT 'seals', (SELECT count(sealed_us) FROM h), (SELECT count(*) FROM seal) \
        UNION ALL SELECT 'seals at the time that the head says', (SELECT count(*) FROM seal), \
            (SELECT count(*) FROM seal JOIN h ON h.sealed_us = seal.us) \
        UNION ALL SELECT 'decisions behind the seal', 0::bigint, (SELECT count(*) FROM seal \
            JOIN algorithm_audit_trail t ON t.experiment_id = $1 \
            AND t.sequence_number > seal.sequence_number \
            AND t.decision_type NOT IN ('redaction', 'restore'))";
    /// Rows of erased visitors that still tell more than their id.
    COMPARE_ERASED = "SELECT 'rows of erased visitors that tell more than their id', 0::bigint, \
        count(*) FROM assignments WHERE experiment_id = $1 AND user_identifier = 'erased:' || id \
        AND (session_id IS NOT NULL OR context IS DISTINCT FROM '{}' \
        OR conversion_event_id IS NOT NULL)";
    /// The derived columns of the variants of an experiment.
    READ_COUNTERS = "SELECT v.id, coalesce(v.total_allocations, 0), \
        coalesce(v.total_conversions, 0), coalesce(v.conversion_rate, 0) FROM element_variants v \
        JOIN experiment_elements e ON e.id = v.element_id WHERE e.experiment_id = $1 ORDER BY v.id";
    /// The rows of an experiment by snapshot and the variants shown.
    COUNT_ROWS = "SELECT coalesce(snapshot_seq, 0), variant_id, metadata -> 'variants', count(*), \
        count(converted_at), \
        coalesce(sum(conversion_value) FILTER (WHERE converted_at IS NOT NULL), 0)::float8, \
        coalesce(sum(conversion_value * conversion_value) \
        FILTER (WHERE converted_at IS NOT NULL), 0)::float8 \
        FROM assignments WHERE experiment_id = $1 GROUP BY 1, 2, 3";
    /// A page of the rows of an experiment that have an entry, in the order of the trail, in which they
    /// were written and lie: each with the entries of its draws, which follow one another, and the
    /// entry of its conversion.
    READ_ROWS_ALONG_TRAIL = concat!(row_columns!(), "FROM algorithm_audit_trail t \
        JOIN assignments a ON a.id = t.id AND a.experiment_id = t.experiment_id \
        LEFT JOIN algorithm_audit_trail c ON c.experiment_id = a.experiment_id \
        AND c.sequence_number = a.conversion_seq \
        WHERE t.experiment_id = $1 AND t.sequence_number > $2 \
        ORDER BY t.sequence_number LIMIT $3");
    /// A page of the rows that have none, in the order of visitors.
    READ_ROWS_WITHOUT_ENTRY = concat!(row_columns!(), "FROM assignments a \
        LEFT JOIN algorithm_audit_trail t ON t.id = a.id AND t.experiment_id = a.experiment_id \
        LEFT JOIN algorithm_audit_trail c ON c.experiment_id = a.experiment_id \
        AND c.sequence_number = a.conversion_seq \
        WHERE a.experiment_id = $1 AND a.user_identifier > $2 AND t.id IS NULL \
        ORDER BY a.user_identifier LIMIT $3");
    /// The checkpoints of an experiment that cover its trail as it is: no abandoned ones.
    READ_KEPT_CHECKPOINTS = "SELECT c.incarnation, c.size, c.root, c.note FROM audit_checkpoints c \
        WHERE c.experiment_id = $1 AND NOT EXISTS ( \
            SELECT FROM algorithm_audit_trail t WHERE t.experiment_id = $1 \
            AND t.decision_type NOT IN ('assignment', 'conversion') AND t.decision_type = 'restore' \
            AND (t.decision_data ->> 'incarnation')::bigint = c.incarnation + 1 \
            AND (c.size >= t.sequence_number OR c.frontier IS NULL)) ORDER BY c.size";
    /// Corrects the derived columns of variants.
    SET_COUNTERS = "UPDATE element_variants v SET total_allocations = d.allocations, \
        total_conversions = d.conversions, \
        conversion_rate = coalesce(d.conversions::float8 / nullif(d.allocations, 0), 0) \
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS d(id, allocations, conversions) \
        WHERE v.id = d.id";
    /// Forgets the statistics of an experiment, to be written anew.
    DELETE_STATISTICS = "DELETE FROM variant_statistics WHERE experiment_id = $1";
    /// Corrects the frontier of a locked head.
    SET_FRONTIER = "UPDATE audit_heads SET frontier = $2 WHERE experiment_id = $1";
}

/// Two numbers that should be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What is counted.
    pub what: String,
    /// What it should be.
    pub expected: i64,
    /// What it is.
    pub found: i64,
}

/// Makes everything that follows in the transaction see the same moment. Has to come first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn begin_snapshot(session: &Session<'_>) -> Result<(), Error> {
    session.execute(BEGIN_SNAPSHOT, &[]).await.map(drop)
}

/// Lets the rest of the transaction scan tables, which transactions of ours else avoid: for what reads
/// whole experiments or counts whole funnels, and not for [`rows_along_trail`], which reads a page by keys.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn plan_for_scans(session: &Session<'_>) -> Result<(), Error> {
    session.query_one(PLAN_FOR_SCANS, &[]).await.map(drop)
}

/// The experiments that have a trail, or entries of one.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn trails(session: &Session<'_>) -> Result<Vec<ExperimentId>, Error> {
    let rows = session.query(LIST_TRAILS, &[]).await?;
    let ids = rows.iter().map(|row| {
        let of = Columns::new(row, "experiments");
        of.get(0, "id").map(ExperimentId)
    });
    ids.collect()
}

/// Rows against visitors.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn visitors(session: &Session<'_>, id: ExperimentId) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_VISITORS, id).await
}

/// Rows against entries of the trail.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn trail(session: &Session<'_>, id: ExperimentId) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_TRAIL, id).await
}

/// Sequence numbers against their count.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn sequences(session: &Session<'_>, id: ExperimentId) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_SEQUENCES, id).await
}

/// The head against the last entry.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn head(session: &Session<'_>, id: ExperimentId) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_HEAD, id).await
}

/// The seal that the head tells against the seal that there is.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn seal(session: &Session<'_>, id: ExperimentId) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_SEAL, id).await
}

/// Rows of erased visitors against what should be left of them.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn erased(session: &Session<'_>, id: ExperimentId) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_ERASED, id).await
}

async fn compare(
    session: &Session<'_>,
    statement: Statement,
    id: ExperimentId,
) -> Result<Vec<Comparison>, Error> {
    let rows = session.query(statement, &[&id.0]).await?;
    let comparisons = rows.iter().map(|row| Comparison {
        what: row.get(0),
        expected: row.get(1),
        found: row.get::<_, Option<i64>>(2).unwrap_or(0),
    });
    Ok(comparisons.collect())
}

/// The derived columns of a variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counters {
    /// Which variant.
    pub variant_id: VariantId,
    /// `total_allocations`.
    pub allocations: i64,
    /// `total_conversions`.
    pub conversions: i64,
    /// `conversion_rate`.
    pub rate: f64,
}

/// The derived columns of the variants of an experiment.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn counters(session: &Session<'_>, id: ExperimentId) -> Result<Vec<Counters>, Error> {
    let rows = session.query(READ_COUNTERS, &[&id.0]).await?;
    let counters = rows.iter().map(|row| {
        let of = Columns::new(row, "element_variants");
        Ok(Counters {
            variant_id: VariantId(of.get(0, "id")?),
            allocations: of.get(1, "total_allocations")?,
            conversions: of.get(2, "total_conversions")?,
            rate: of.get(3, "conversion_rate")?,
        })
    });
    counters.collect()
}

/// What the rows of one combination of variants under one snapshot add up to.
#[derive(Clone, Debug, PartialEq)]
pub struct RowCount {
    /// The snapshot whose weights were used; 0 for rows older than the trail.
    pub snapshot_seq: i64,
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
}

/// Counts the rows of an experiment.
///
/// # Errors
/// When PostgreSQL fails, or a row cannot be decoded.
pub async fn count_rows(session: &Session<'_>, id: ExperimentId) -> Result<Vec<RowCount>, Error> {
    let rows = session.query(COUNT_ROWS, &[&id.0]).await?;
    let counts = rows.iter().map(|row| {
        let of = Columns::new(row, "assignments");
        Ok(RowCount {
            snapshot_seq: of.get(0, "snapshot_seq")?,
            variant_id: of.get::<Option<Uuid>>(1, "variant_id")?.map(VariantId),
            variants: of.get(2, "metadata")?,
            assignments: of.get(3, "id")?,
            conversions: of.get(4, "converted_at")?,
            value_sum: of.get(5, "conversion_value")?,
            value_sum_squares: of.get(6, "conversion_value")?,
        })
    });
    counts.collect()
}

/// A row with the entries that it names.
#[derive(Clone, Debug, PartialEq)]
pub struct RowEntries {
    /// Its id.
    pub id: Uuid,
    /// The visitor.
    pub visitor: String,
    /// The variant of the first element.
    pub variant_id: Option<VariantId>,
    /// `{element_id: variant_id}` where there are several elements.
    pub variants: Option<Json>,
    /// The snapshot whose weights were used.
    pub snapshot_seq: Option<i64>,
    /// When it converted.
    pub converted_at: Option<OffsetDateTime>,
    /// What that was worth.
    pub conversion_value: Option<f64>,
    /// The entry of the conversion.
    pub conversion_seq: Option<i64>,
    /// The sequence number of its first entry.
    pub assignment_seq: Option<i64>,
    /// The payloads of that entry and of those behind it, one per draw.
    pub assignments: Vec<String>,
    /// Kind, payload and time of the entry of the conversion.
    pub conversion: Option<(String, String, OffsetDateTime)>,
}

/// At most `limit` rows of an experiment whose entry is behind `after`, in the order of the trail,
/// each with the entries of its `draws`.
///
/// # Errors
/// When PostgreSQL fails, or a row cannot be decoded.
pub async fn rows_along_trail(
    session: &Session<'_>,
    id: ExperimentId,
    after: i64,
    limit: i64,
    draws: i64,
) -> Result<Vec<RowEntries>, Error> {
    let parameters: Params<'_> = &[&id.0, &after, &limit, &draws];
    let rows = session.query(READ_ROWS_ALONG_TRAIL, parameters).await?;
    rows.iter().map(row_entries).collect()
}

/// At most `limit` rows of an experiment that have no entry, behind visitor `after` in the order of
/// visitors.
///
/// # Errors
/// When PostgreSQL fails, or a row cannot be decoded.
pub async fn rows_without_entry(
    session: &Session<'_>,
    id: ExperimentId,
    after: &str,
    limit: i64,
    draws: i64,
) -> Result<Vec<RowEntries>, Error> {
    let parameters: Params<'_> = &[&id.0, &after, &limit, &draws];
    let rows = session.query(READ_ROWS_WITHOUT_ENTRY, parameters).await?;
    rows.iter().map(row_entries).collect()
}

fn row_entries(row: &Row) -> Result<RowEntries, Error> {
    let of = Columns::new(row, "assignments");
    let kind: Option<String> = of.get(10, "decision_type")?;
    let payload: Option<String> = of.get(11, "decision_data")?;
    let at: Option<OffsetDateTime> = of.get(12, "created_at")?;
    Ok(RowEntries {
        id: of.get(0, "id")?,
        visitor: of.get(1, "user_identifier")?,
        variant_id: of.get::<Option<Uuid>>(2, "variant_id")?.map(VariantId),
        variants: of.get(3, "metadata")?,
        snapshot_seq: of.get(4, "snapshot_seq")?,
        converted_at: of.get(5, "converted_at")?,
        conversion_value: of.get(6, "conversion_value")?,
        conversion_seq: of.get(7, "conversion_seq")?,
        assignment_seq: of.get(8, "sequence_number")?,
        assignments: of.get::<Option<_>>(9, "decision_data")?.unwrap_or_default(),
        conversion: kind.zip(payload).zip(at).map(|((k, p), at)| (k, p, at)),
    })
}

/// A checkpoint that covers a trail as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// In which incarnation it was signed, from 1.
    pub incarnation: i32,
    /// Entries that it covers.
    pub size: i64,
    /// The Merkle root over them, 64 hex digits.
    pub root: String,
    /// The signed note.
    pub note: String,
}

/// The checkpoints of an experiment but for abandoned ones, by size.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn kept_checkpoints(
    session: &Session<'_>,
    id: ExperimentId,
) -> Result<Vec<KeptCheckpoint>, Error> {
    let rows = session.query(READ_KEPT_CHECKPOINTS, &[&id.0]).await?;
    let kept = rows.iter().map(|row| {
        let of = Columns::new(row, "audit_checkpoints");
        Ok(KeptCheckpoint {
            incarnation: of.get(0, "incarnation")?,
            size: of.get(1, "size")?,
            root: of.get(2, "root")?,
            note: of.get(3, "note")?,
        })
    });
    kept.collect()
}

/// Corrects counters and conversion rates of variants; `counters` hold what they should be.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn set_counters(session: &Session<'_>, counters: &[Counters]) -> Result<(), Error> {
    let ids: Vec<Uuid> = counters.iter().map(|c| c.variant_id.0).collect();
    let allocations: Vec<i64> = counters.iter().map(|c| c.allocations).collect();
    let conversions: Vec<i64> = counters.iter().map(|c| c.conversions).collect();
    session
        .execute(SET_COUNTERS, &[&ids, &allocations, &conversions])
        .await
        .map(drop)
}

/// Forgets the statistics of an experiment whose head is locked; they have to be written anew in
/// the same transaction.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn delete_statistics(session: &Session<'_>, id: ExperimentId) -> Result<(), Error> {
    session.execute(DELETE_STATISTICS, &[&id.0]).await.map(drop)
}

/// Corrects the frontier of a locked head.
///
/// # Errors
/// When there is no such head, or PostgreSQL fails.
pub async fn set_frontier(
    session: &Session<'_>,
    id: ExperimentId,
    frontier: &[u8],
) -> Result<(), Error> {
    let set = session.execute(SET_FRONTIER, &[&id.0, &frontier]).await?;
    Error::expect_rows(SET_FRONTIER.name, 1, set)
}
