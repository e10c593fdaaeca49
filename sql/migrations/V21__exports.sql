-- What leaves the database as tables: indexes for exports by pages, views for BI tools, and the answers
-- that a repeated request is given again.

-- Both indexes may be made beforehand without standing in anybody's way: docs/MIGRATIONS.md.

-- Exports read visitors in the order of their trail; of those older than any trail there is no entry. The
-- server writes no such row, so that nobody pays for this index.
CREATE INDEX IF NOT EXISTS idx_assignments_older ON assignments (experiment_id, id) WHERE snapshot_seq IS NULL;
-- Conversions in the order in which they came into the trail, those from before it first.
CREATE INDEX IF NOT EXISTS idx_assignments_conversions
    ON assignments (experiment_id, (coalesce(conversion_seq, 0::bigint)), id) WHERE converted_at IS NOT NULL;

ALTER TABLE exclusion_rules ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
COMMENT ON COLUMN exclusion_rules.version IS 'Grows with every change; the ETag.';

CREATE TABLE idempotency_keys (
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    key VARCHAR(255) NOT NULL,
    request_hash VARCHAR(64) NOT NULL,
    status SMALLINT NOT NULL,
    headers JSONB NOT NULL,
    body TEXT NOT NULL,
    is_sealed BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idx_idempotency_keys_created ON idempotency_keys (created_at);

COMMENT ON TABLE idempotency_keys IS 'Answers that a repeat of the request is given again, for a day.';
COMMENT ON COLUMN idempotency_keys.user_id IS 'Whose key it is: two accounts may use the same one.';
COMMENT ON COLUMN idempotency_keys.key IS 'What the caller sent as Idempotency-Key.';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of method, path and body, 64 hex digits.';
COMMENT ON COLUMN idempotency_keys.status IS 'The status of the answer.';
COMMENT ON COLUMN idempotency_keys.headers IS 'Its headers, as [name, value] pairs.';
COMMENT ON COLUMN idempotency_keys.body IS 'Its body.';
COMMENT ON COLUMN idempotency_keys.is_sealed IS 'Whether the body is sealed, as it shows a secret.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When the answer was given.';

-- The views are a contract, written down in docs/REPORTING.md: columns may be added, and none changes. They
-- run with the rights of their owner, so that whoever reads them needs none on the tables.

CREATE VIEW reporting_experiments AS
SELECT e.id AS experiment_id,
    e.user_id AS account_id,
    e.name::text AS name,
    e.key::text AS key,
    coalesce(e.status, 'draft')::text AS status,
    coalesce(e.experiment_type, 'ab_test')::text AS experiment_type,
    coalesce(e.allocation_strategy, 'adaptive')::text AS allocation_strategy,
    coalesce(e.traffic_allocation, 1) AS traffic_allocation,
    g.name::text AS goal,
    g.kind::text AS goal_kind,
    e.created_at,
    e.started_at,
    e.completed_at,
    e.archived_at,
    n.visitors,
    n.conversions,
    n.value_sum
FROM experiments e
LEFT JOIN goals g ON g.experiment_id = e.id AND g.is_primary
CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.visitors), 0)::bigint AS visitors,
        coalesce(sum(c.conversions), 0)::bigint AS conversions,
        coalesce(sum(c.value_sum), 0)::double precision AS value_sum
    FROM (
        SELECT s.assignments AS visitors, s.conversions, s.value_sum
        FROM variant_statistics s
        WHERE s.experiment_id = e.id AND s.element = 0
        UNION ALL
        -- Of an experiment that has no trail yet, the rows are all there is.
        SELECT count(*), count(a.converted_at),
            sum(a.conversion_value) FILTER (WHERE a.converted_at IS NOT NULL)
        FROM assignments a
        WHERE a.experiment_id = e.id
            AND NOT EXISTS (SELECT FROM audit_heads h WHERE h.experiment_id = e.id)
    ) c
) n;

CREATE VIEW reporting_arms AS
-- The arms of a trail are those of its first entry, and their counts are kept.
SELECT e.id AS experiment_id,
    e.user_id AS account_id,
    (draw.value ->> 'element')::int AS element,
    (arm.value ->> 'arm')::int AS arm,
    arm.value ->> 'name' AS name,
    shown.variant_ids,
    shown.is_control,
    shown.is_active,
    n.visitors,
    n.conversions,
    n.value_sum
FROM experiments e
JOIN algorithm_audit_trail first ON first.experiment_id = e.id AND first.sequence_number = 1
    AND first.decision_type = 'genesis'
CROSS JOIN LATERAL jsonb_array_elements(coalesce(first.decision_data -> 'elements',
    jsonb_build_array(jsonb_build_object('element', 0, 'arms', first.decision_data -> 'arms')))) draw
CROSS JOIN LATERAL jsonb_array_elements(draw.value -> 'arms') arm
CROSS JOIN LATERAL (
    SELECT array_agg(v.id ORDER BY id.place) AS variant_ids,
        bool_and(coalesce(v.is_control, FALSE)) AS is_control,
        bool_and(coalesce(v.is_active, TRUE)) AS is_active
    FROM jsonb_array_elements_text(coalesce(arm.value -> 'variant_ids',
        jsonb_build_array(arm.value -> 'variant_id'))) WITH ORDINALITY AS id(text, place)
    JOIN element_variants v ON v.id = id.text::uuid
) shown
CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.assignments), 0)::bigint AS visitors,
        coalesce(sum(s.conversions), 0)::bigint AS conversions,
        coalesce(sum(s.value_sum), 0)::double precision AS value_sum
    FROM variant_statistics s
    WHERE s.experiment_id = e.id AND s.element = (draw.value ->> 'element')::int
        AND s.arm = (arm.value ->> 'arm')::int
) n
UNION ALL
-- Without a trail each variant is an arm of its element.
SELECT e.id,
    e.user_id,
    (dense_rank() OVER (PARTITION BY e.id ORDER BY l.element_order, l.id) - 1)::int,
    (row_number() OVER (PARTITION BY e.id, l.id ORDER BY v.variant_order, v.id) - 1)::int,
    v.name::text,
    ARRAY[v.id],
    coalesce(v.is_control, FALSE),
    coalesce(v.is_active, TRUE),
    n.visitors,
    n.conversions,
    n.value_sum
FROM experiments e
JOIN experiment_elements l ON l.experiment_id = e.id
JOIN element_variants v ON v.element_id = l.id
CROSS JOIN LATERAL (
    SELECT count(*) AS visitors,
        count(a.converted_at) AS conversions,
        coalesce(sum(a.conversion_value) FILTER (WHERE a.converted_at IS NOT NULL), 0)
            AS value_sum
    FROM assignments a
    WHERE a.experiment_id = e.id
        AND (a.variant_id = v.id OR a.metadata -> 'variants' ->> l.id::text = v.id::text)
) n
WHERE NOT EXISTS (SELECT FROM audit_heads h WHERE h.experiment_id = e.id);

CREATE VIEW reporting_assignments AS
SELECT a.id AS assignment_id,
    a.experiment_id,
    e.user_id AS account_id,
    t.decision_data ->> 'visitor' AS pseudonym,
    a.variant_id,
    coalesce(a.metadata -> 'variants', CASE WHEN v.element_id IS NOT NULL
        THEN jsonb_build_object(v.element_id, a.variant_id) END) AS variants,
    a.assigned_at,
    x.exposed_at,
    a.converted_at,
    CASE WHEN a.converted_at IS NOT NULL THEN a.conversion_value END AS value,
    a.snapshot_seq,
    a.user_identifier = 'erased:' || a.id::text AS is_erased
FROM assignments a
JOIN experiments e ON e.id = a.experiment_id
LEFT JOIN element_variants v ON v.id = a.variant_id
LEFT JOIN algorithm_audit_trail t ON t.id = a.id AND t.experiment_id = a.experiment_id
LEFT JOIN exposures x ON x.experiment_id = a.experiment_id AND x.assignment_id = a.id;

CREATE VIEW reporting_daily AS
SELECT d.experiment_id,
    e.user_id AS account_id,
    d.day,
    d.variant_id,
    coalesce(d.variants, CASE WHEN v.element_id IS NOT NULL
        THEN jsonb_build_object(v.element_id, d.variant_id) END) AS variants,
    sum(d.visitors)::bigint AS visitors,
    sum(d.conversions)::bigint AS conversions,
    sum(d.value)::double precision AS value_sum
FROM (
    SELECT experiment_id, (assigned_at AT TIME ZONE 'UTC')::date AS day, variant_id,
        metadata -> 'variants' AS variants, 1 AS visitors, 0 AS conversions, 0 AS value
    FROM assignments
    UNION ALL
    SELECT experiment_id, (converted_at AT TIME ZONE 'UTC')::date, variant_id,
        metadata -> 'variants', 0, 1, coalesce(conversion_value, 0)
    FROM assignments
    WHERE converted_at IS NOT NULL
) d
JOIN experiments e ON e.id = d.experiment_id
LEFT JOIN element_variants v ON v.id = d.variant_id
GROUP BY d.experiment_id, e.user_id, d.day, d.variant_id, v.element_id, d.variants;

COMMENT ON VIEW reporting_experiments IS 'One row per experiment, with its totals.';
COMMENT ON VIEW reporting_arms IS 'One row per arm of each draw, with its totals.';
COMMENT ON VIEW reporting_assignments IS 'One row per visitor, without anything that tells who it is.';
COMMENT ON VIEW reporting_daily IS 'Visitors by the day they came, conversions by the day they happened, in UTC.';
