-- Makes the trail what `samplit-audit-v1` needs: wide, complete, and append-only for everybody.

-- Entries of an adopted database were hashed by other rules and do not verify. They are kept, apart.
CREATE TABLE algorithm_audit_trail_legacy (
    id UUID PRIMARY KEY,
    experiment_id UUID,
    sequence_number INT NOT NULL,
    decision_type VARCHAR(50),
    decision_data JSONB NOT NULL,
    previous_hash VARCHAR(64),
    current_hash VARCHAR(64) NOT NULL,
    created_at TIMESTAMPTZ
);

INSERT INTO algorithm_audit_trail_legacy
    (id, experiment_id, sequence_number, decision_type, decision_data,
     previous_hash, current_hash, created_at)
SELECT id, experiment_id, sequence_number, decision_type, decision_data,
       previous_hash, current_hash, created_at
FROM algorithm_audit_trail;

TRUNCATE algorithm_audit_trail;

-- The table is empty from here on, so none of this reads rows.
ALTER TABLE algorithm_audit_trail
    ALTER COLUMN sequence_number TYPE BIGINT,
    ALTER COLUMN experiment_id SET NOT NULL,
    ALTER COLUMN decision_type SET NOT NULL,
    ALTER COLUMN previous_hash SET NOT NULL,
    ALTER COLUMN created_at SET NOT NULL,
    -- A cascade runs as the owner and would empty the trail.
    DROP CONSTRAINT algorithm_audit_trail_experiment_id_fkey,
    ADD CONSTRAINT algorithm_audit_trail_experiment_id_fkey
        FOREIGN KEY (experiment_id) REFERENCES experiments(id) ON DELETE RESTRICT,
    ADD CONSTRAINT algorithm_audit_trail_sequence_number_check CHECK (sequence_number >= 1),
    ADD CONSTRAINT algorithm_audit_trail_decision_type_check
        CHECK (decision_type::text IN ('assignment', 'conversion', 'reallocation',
                                 'genesis', 'seal', 'redaction', 'restore')),
    -- Lengths only: that the digits are the right ones is recomputed by verification, and a regular
    -- expression on each row is a cost on the hottest insert.
    ADD CONSTRAINT algorithm_audit_trail_previous_hash_check CHECK (octet_length(previous_hash) = 64),
    ADD CONSTRAINT algorithm_audit_trail_current_hash_check CHECK (octet_length(current_hash) = 64);

-- Large and never updated: let inserts alone keep the visibility map and the freezing up to date.
ALTER TABLE algorithm_audit_trail SET (autovacuum_vacuum_insert_scale_factor = 0.05);

-- The few entries that set weights or mark the life of a trail, found without reading the many.
CREATE INDEX idx_audit_snapshots
    ON algorithm_audit_trail (experiment_id, sequence_number)
    WHERE decision_type::text NOT IN ('assignment', 'conversion');

CREATE FUNCTION samplit_refuse_trail_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the audit trail is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER algorithm_audit_trail_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON algorithm_audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION samplit_refuse_trail_change();
-- ALWAYS: neither superusers nor session_replication_role get around it.
ALTER TABLE algorithm_audit_trail ENABLE ALWAYS TRIGGER algorithm_audit_trail_append_only;

COMMENT ON TABLE algorithm_audit_trail IS 'Hash-chained record of every decision, format samplit-audit-v1; append-only.';
COMMENT ON COLUMN algorithm_audit_trail.sequence_number IS 'Position in the experiment''s chain: 1, 2, 3, ... without a gap.';
COMMENT ON COLUMN algorithm_audit_trail.decision_type IS 'genesis, assignment, conversion, reallocation, seal, redaction or restore.';
COMMENT ON COLUMN algorithm_audit_trail.previous_hash IS 'current_hash of the entry before, for the first entry a hash of the experiment''s id.';
COMMENT ON COLUMN algorithm_audit_trail.current_hash IS 'SHA-256 over this entry and previous_hash, 64 hex digits.';
COMMENT ON FUNCTION samplit_refuse_trail_change() IS 'Trigger that refuses every change of existing entries.';

COMMENT ON TABLE algorithm_audit_trail_legacy IS 'Entries that an adopted database held; hashed by other rules, kept as they were.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.id IS 'As it was.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.experiment_id IS 'As it was.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.sequence_number IS 'As it was.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.decision_type IS 'As it was.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.decision_data IS 'As it was.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.previous_hash IS 'As it was.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.current_hash IS 'As it was.';
COMMENT ON COLUMN algorithm_audit_trail_legacy.created_at IS 'As it was.';
