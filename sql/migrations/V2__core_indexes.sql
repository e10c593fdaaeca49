-- The performance indexes of the core tables. They are a step of their own, and conditional,
-- because the original files were often run without them.

CREATE INDEX IF NOT EXISTS idx_elements_experiment_covering
    ON experiment_elements (experiment_id)
    INCLUDE (id, name, element_type);

-- The included counters spare results a visit to the table. They also mean that an update of a
-- counter is never HOT; V7 sets autovacuum accordingly.
CREATE INDEX IF NOT EXISTS idx_variants_element_covering
    ON element_variants (element_id)
    INCLUDE (total_allocations, total_conversions, conversion_rate);

-- Rows arrive in the order of assigned_at, which is what BRIN needs.
CREATE INDEX IF NOT EXISTS idx_assignments_assigned_at_brin
    ON assignments USING BRIN (assigned_at);

CREATE INDEX IF NOT EXISTS idx_experiments_active
    ON experiments (user_id, created_at DESC)
    WHERE status = 'active';

CREATE INDEX IF NOT EXISTS idx_assignments_unconverted
    ON assignments (experiment_id, assigned_at)
    WHERE converted_at IS NULL;

CREATE INDEX IF NOT EXISTS idx_variants_active
    ON element_variants (element_id)
    WHERE is_active = true;
