-- What the engine needs on the core tables, and the limits that keep them readable. There is no
-- CHECK on assignments or on counters: a constraint must never be what loses a conversion.

-- INT ends after 24 days at 1,000 decisions a second.
ALTER TABLE element_variants
    ALTER COLUMN total_allocations TYPE BIGINT,
    ALTER COLUMN total_conversions TYPE BIGINT;

-- Few rows, updated by every batch, and never HOT (the covering index holds the counters): vacuum
-- by number of updates, not by share of the table.
ALTER TABLE element_variants SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000
);

-- Append-mostly and large: the insert-driven vacuum keeps the visibility map and the BRIN summary
-- fresh without waiting for a fifth of the table. A conversion is not HOT either, because the
-- predicate of idx_assignments_unconverted reads converted_at, so a lower fillfactor gains nothing.
ALTER TABLE assignments SET (
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);

-- The casts to text: without them PostgreSQL spells the same list in another way after a dump and
-- restore, and verification would report a difference that is none.
ALTER TABLE experiments
    ADD COLUMN IF NOT EXISTS version BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS allocation_config JSONB NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS stopping_rule JSONB NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS declared_winner JSONB,
    ADD COLUMN IF NOT EXISTS archived_at TIMESTAMPTZ,
    ADD CONSTRAINT experiments_status_check
        CHECK (status::text IN ('draft', 'active', 'paused', 'completed', 'archived')),
    ADD CONSTRAINT experiments_experiment_type_check
        CHECK (experiment_type::text IN ('ab_test', 'multi_element')),
    ADD CONSTRAINT experiments_allocation_strategy_check
        CHECK (allocation_strategy::text IN ('adaptive', 'fixed')),
    -- NaN is greater than every number here, so it is refused too.
    ADD CONSTRAINT experiments_traffic_allocation_check
        CHECK (traffic_allocation >= 0 AND traffic_allocation <= 1);

ALTER TABLE experiment_elements
    ADD CONSTRAINT experiment_elements_selector_type_check
        CHECK (selector_type::text IN ('css', 'xpath', 'id', 'class'));

-- NULL in rows that are older than the trail.
ALTER TABLE assignments
    ADD COLUMN IF NOT EXISTS snapshot_seq BIGINT,
    ADD COLUMN IF NOT EXISTS conversion_event_id VARCHAR(255);

-- Listing a user's experiments, newest first, with the id as the tie-break of the cursor.
CREATE INDEX IF NOT EXISTS idx_experiments_user
    ON experiments (user_id, created_at DESC, id DESC);

-- assignments.variant_id stays without an index: variants with visitors are deactivated, never
-- deleted, results are read from counters, and each index is a cost on the hottest insert.

COMMENT ON TABLE users IS 'A person or service account that owns experiments.';
COMMENT ON COLUMN users.password_hash IS 'Argon2id in PHC form; ''!'' for an account without a password.';
COMMENT ON TABLE experiments IS 'An experiment: what is tested, its state and how traffic is shared.';
COMMENT ON COLUMN experiments.version IS 'Rises by one with each change; the ETag of the API.';
COMMENT ON COLUMN experiments.updated_at IS 'When the experiment was last changed.';
COMMENT ON COLUMN experiments.allocation_config IS 'Parameters of the allocation: policy, prior, floor, warm-up, fixed weights.';
COMMENT ON COLUMN experiments.stopping_rule IS 'When it may stop, registered before the start: rule, threshold, minimums, plan, auto_complete.';
COMMENT ON COLUMN experiments.declared_winner IS 'Element id to the id of the variant that everybody gets after completion.';
COMMENT ON COLUMN experiments.archived_at IS 'When the experiment was archived.';
COMMENT ON TABLE experiment_elements IS 'A place on the page under test.';
COMMENT ON TABLE element_variants IS 'One of the contents that an element can have, with its counters.';
COMMENT ON COLUMN element_variants.algorithm_state IS 'Posterior of the variant, sealed at rest, base64.';
COMMENT ON TABLE assignments IS 'One row per visitor and experiment: which variant, and whether it converted.';
COMMENT ON COLUMN assignments.snapshot_seq IS 'Sequence number of the trail entry whose weights were used; NULL in rows older than the trail.';
COMMENT ON COLUMN assignments.conversion_event_id IS 'The caller''s id of the conversion event, which makes a retry safe.';
