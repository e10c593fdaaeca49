//! Comparing what is stored in more than one place. Reads whole tables: for `doctor`, not for
//! requests.

use samplit_domain::ExperimentId;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, Statement, statements};

statements! {
    /// The counters of every variant and the rows that it was shown to. A row of several elements
    /// names its variants in `metadata`, one of a single element in `variant_id`.
    COMPARE_COUNTERS = "WITH shown AS ( \
            SELECT v.id::uuid AS variant_id, a.converted_at FROM assignments a, \
            jsonb_each_text(CASE WHEN jsonb_typeof(a.metadata -> 'variants') = 'object' \
                THEN a.metadata -> 'variants' ELSE '{}' END) AS v(element, id) \
            UNION ALL \
            SELECT variant_id, converted_at FROM assignments \
            WHERE jsonb_typeof(metadata -> 'variants') IS DISTINCT FROM 'object'), \
        counted AS (SELECT variant_id, count(*) AS n, count(converted_at) AS s FROM shown GROUP BY 1) \
        SELECT e.experiment_id, 'variant ' || v.id || ' ' || c.what, c.expected, c.found \
        FROM element_variants v JOIN experiment_elements e ON e.id = v.element_id \
        LEFT JOIN counted ON counted.variant_id = v.id \
        CROSS JOIN LATERAL (VALUES \
            ('assignments', coalesce(counted.n, 0), coalesce(v.total_allocations, 0)), \
            ('conversions', coalesce(counted.s, 0), coalesce(v.total_conversions, 0)) \
        ) AS c(what, expected, found) ORDER BY 1, 2";
    /// The statistics of every started experiment, by element, and its rows.
    COMPARE_STATISTICS = "WITH counted AS ( \
            SELECT experiment_id, count(*) AS n, count(converted_at) AS s FROM assignments GROUP BY 1), \
        summed AS ( \
            SELECT experiment_id, element, sum(assignments)::bigint AS n, sum(conversions)::bigint AS s \
            FROM variant_statistics GROUP BY 1, 2) \
        SELECT h.experiment_id, 'element ' || coalesce(summed.element, 0) || ' ' || c.what, \
        c.expected, c.found FROM audit_heads h \
        LEFT JOIN counted ON counted.experiment_id = h.experiment_id \
        LEFT JOIN summed ON summed.experiment_id = h.experiment_id \
        CROSS JOIN LATERAL (VALUES \
            ('assignments', coalesce(counted.n, 0), coalesce(summed.n, 0)), \
            ('conversions', coalesce(counted.s, 0), coalesce(summed.s, 0)) \
        ) AS c(what, expected, found) ORDER BY 1, 2";
    /// The rows of every started experiment and the entries that they name, each looked up: those
    /// that have none, and entries without a row. An entry of a further element has no row of its
    /// own, nor has one whose payload was redacted in a trail with several elements.
    COMPARE_TRAIL = "WITH entries AS ( \
            SELECT experiment_id, id FROM algorithm_audit_trail \
            WHERE decision_type = 'assignment' \
            AND coalesce((decision_data ->> 'element')::int, 0) = 0), \
        rows AS (SELECT experiment_id, id FROM assignments WHERE snapshot_seq IS NOT NULL), \
        paired AS ( \
            SELECT coalesce(r.experiment_id, e.experiment_id) AS experiment_id, \
            count(*) FILTER (WHERE e.experiment_id IS NULL) AS without_entry, \
            count(*) FILTER (WHERE r.experiment_id IS NULL) AS without_row \
            FROM rows r FULL JOIN entries e ON e.experiment_id = r.experiment_id \
            AND e.id = r.id GROUP BY 1), \
        converted AS (SELECT experiment_id, count(*) AS n FROM assignments \
            WHERE converted_at IS NOT NULL GROUP BY 1), \
        conversions AS (SELECT experiment_id, count(*) AS n FROM algorithm_audit_trail \
            WHERE decision_type = 'conversion' GROUP BY 1), \
        carried AS (SELECT g.experiment_id, sum((c.one ->> 's')::bigint)::bigint AS s \
            FROM algorithm_audit_trail g, jsonb_array_elements(g.decision_data -> 'carried') AS c(one) \
            WHERE g.decision_type = 'genesis' AND (c.one ->> 'element')::int = 0 GROUP BY 1) \
        SELECT h.experiment_id, c.what, c.expected, c.found FROM audit_heads h \
        LEFT JOIN paired ON paired.experiment_id = h.experiment_id \
        LEFT JOIN converted ON converted.experiment_id = h.experiment_id \
        LEFT JOIN conversions ON conversions.experiment_id = h.experiment_id \
        LEFT JOIN carried ON carried.experiment_id = h.experiment_id \
        CROSS JOIN LATERAL (VALUES \
            ('rows without an entry', 0::bigint, coalesce(paired.without_entry, 0)), \
            ('entries without a row', 0::bigint, coalesce(paired.without_row, 0)), \
            ('conversions', coalesce(converted.n, 0), \
                coalesce(conversions.n, 0) + coalesce(carried.s, 0)) \
        ) AS c(what, expected, found) ORDER BY 1, 2";
    /// The sequence numbers of every trail: from 1 without a gap, and no trail without a head.
    COMPARE_SEQUENCES = "SELECT t.experiment_id, c.what, c.expected, c.found FROM ( \
            SELECT experiment_id, count(*) AS n, min(sequence_number) AS first, \
            max(sequence_number) AS last FROM algorithm_audit_trail GROUP BY 1) t \
        LEFT JOIN audit_heads h ON h.experiment_id = t.experiment_id \
        CROSS JOIN LATERAL (VALUES \
            ('first sequence number', 1::bigint, t.first), \
            ('entries up to the last sequence number', t.last, t.n), \
            ('heads', 1::bigint, (h.experiment_id IS NOT NULL)::int::bigint) \
        ) AS c(what, expected, found) ORDER BY 1, 2";
    /// Every head and the entry that it names.
    COMPARE_HEADS = "SELECT h.experiment_id, c.what, c.expected, c.found FROM audit_heads h \
        LEFT JOIN algorithm_audit_trail t ON t.experiment_id = h.experiment_id \
        AND t.sequence_number = h.size \
        CROSS JOIN LATERAL (VALUES \
            ('entries with the hash of the head at its size', 1::bigint, \
                (t.current_hash IS NOT DISTINCT FROM h.head_hash)::int::bigint), \
            ('entries behind the head', 0::bigint, (SELECT count(*) FROM algorithm_audit_trail b \
                WHERE b.experiment_id = h.experiment_id AND b.sequence_number > h.size)) \
        ) AS c(what, expected, found) ORDER BY 1, 2";
    /// The experiments that have a trail.
    LIST_TRAILS = "SELECT experiment_id FROM audit_heads ORDER BY experiment_id";
}

/// Two numbers that should be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// What is counted.
    pub what: String,
    /// What it should be.
    pub expected: i64,
    /// What it is.
    pub found: i64,
}

/// Counters of variants against rows.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn counters(session: &Session<'_>) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_COUNTERS).await
}

/// Statistics against rows.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn statistics(session: &Session<'_>) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_STATISTICS).await
}

/// Rows against entries of the trail.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn trail(session: &Session<'_>) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_TRAIL).await
}

/// Sequence numbers against their count.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn sequences(session: &Session<'_>) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_SEQUENCES).await
}

/// Heads against last entries.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn heads(session: &Session<'_>) -> Result<Vec<Comparison>, Error> {
    compare(session, COMPARE_HEADS).await
}

/// The experiments that have a trail.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn trails(session: &Session<'_>) -> Result<Vec<ExperimentId>, Error> {
    let rows = session.query(LIST_TRAILS, &[]).await?;
    rows.iter()
        .map(|row| {
            Columns::new(row, "audit_heads")
                .get(0, "experiment_id")
                .map(ExperimentId)
        })
        .collect()
}

async fn compare(session: &Session<'_>, statement: Statement) -> Result<Vec<Comparison>, Error> {
    let rows = session.query(statement, &[]).await?;
    let comparisons = rows.iter().map(|row| Comparison {
        // An element may belong to no experiment in databases older than us.
        experiment_id: ExperimentId(row.get::<_, Option<Uuid>>(0).unwrap_or(Uuid::nil())),
        what: row.get(1),
        expected: row.get(2),
        found: row.get(3),
    });
    Ok(comparisons.collect())
}
