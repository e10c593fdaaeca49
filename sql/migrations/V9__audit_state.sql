-- The mutable state beside the append-only trail: heads, checkpoints, keys, statistics.

-- One row per experiment, locked and updated by every batch: the fillfactor leaves room for HOT
-- updates, and no index but the primary key stands in their way.
CREATE TABLE audit_heads (
    experiment_id UUID PRIMARY KEY REFERENCES experiments(id) ON DELETE RESTRICT,
    incarnation INT NOT NULL DEFAULT 1,
    size BIGINT NOT NULL,
    head_hash VARCHAR(64) NOT NULL,
    frontier BYTEA NOT NULL,
    last_us BIGINT NOT NULL,
    snapshot_seq BIGINT NOT NULL,
    snapshot_us BIGINT NOT NULL,
    config_version BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE audit_checkpoints (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE RESTRICT,
    incarnation INT NOT NULL,
    size BIGINT NOT NULL,
    root VARCHAR(64) NOT NULL,
    note TEXT NOT NULL,
    signed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_id, incarnation, size)
);

CREATE TABLE experiment_keys (
    experiment_id UUID PRIMARY KEY REFERENCES experiments(id) ON DELETE CASCADE,
    draw_key_sealed BYTEA NOT NULL,
    pid_key_sealed BYTEA
);

-- Updated by every batch like audit_heads.
CREATE TABLE variant_statistics (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    snapshot_seq BIGINT NOT NULL,
    element SMALLINT NOT NULL,
    arm SMALLINT NOT NULL,
    assignments BIGINT NOT NULL DEFAULT 0,
    conversions BIGINT NOT NULL DEFAULT 0,
    value_sum DOUBLE PRECISION NOT NULL DEFAULT 0,
    value_sum_squares DOUBLE PRECISION NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment_id, snapshot_seq, element, arm)
) WITH (fillfactor = 50);

COMMENT ON TABLE audit_heads IS 'The end of each experiment''s trail. Its row lock serialises all appends.';
COMMENT ON COLUMN audit_heads.experiment_id IS 'The experiment; one row each.';
COMMENT ON COLUMN audit_heads.incarnation IS 'Rises when an operator acknowledges that a backup was restored.';
COMMENT ON COLUMN audit_heads.size IS 'Number of entries, which is also the last sequence number.';
COMMENT ON COLUMN audit_heads.head_hash IS 'current_hash of the last entry.';
COMMENT ON COLUMN audit_heads.frontier IS 'Right edge of the RFC 6962 Merkle tree over the entries.';
COMMENT ON COLUMN audit_heads.last_us IS 'created_at of the last entry, microseconds since 1970; time never runs backwards in a trail.';
COMMENT ON COLUMN audit_heads.snapshot_seq IS 'Sequence number of the entry whose weights are in force.';
COMMENT ON COLUMN audit_heads.snapshot_us IS 'created_at of that entry, microseconds since 1970.';
COMMENT ON COLUMN audit_heads.config_version IS 'experiments.version that the weights in force belong to.';

COMMENT ON TABLE audit_checkpoints IS 'Signed statements of size and Merkle root; also exported outside the database.';
COMMENT ON COLUMN audit_checkpoints.experiment_id IS 'The experiment.';
COMMENT ON COLUMN audit_checkpoints.incarnation IS 'Incarnation of the trail when it was signed.';
COMMENT ON COLUMN audit_checkpoints.size IS 'Number of entries that the root covers.';
COMMENT ON COLUMN audit_checkpoints.root IS 'Merkle root, 64 hex digits.';
COMMENT ON COLUMN audit_checkpoints.note IS 'The C2SP signed note.';
COMMENT ON COLUMN audit_checkpoints.signed_at IS 'When it was signed.';

COMMENT ON TABLE experiment_keys IS 'The secret keys of an experiment, sealed at rest.';
COMMENT ON COLUMN experiment_keys.experiment_id IS 'The experiment; one row each.';
COMMENT ON COLUMN experiment_keys.draw_key_sealed IS 'Key of the draws; committed to in the genesis entry, revealed by the seal.';
COMMENT ON COLUMN experiment_keys.pid_key_sealed IS 'Key of the pseudonyms; NULL once destroyed, which makes them unlinkable.';

COMMENT ON TABLE variant_statistics IS 'Counts per snapshot, element and arm: results without a scan of assignments.';
COMMENT ON COLUMN variant_statistics.experiment_id IS 'The experiment.';
COMMENT ON COLUMN variant_statistics.snapshot_seq IS 'Sequence number of the entry whose weights were in force; 0 for counts from before the trail.';
COMMENT ON COLUMN variant_statistics.element IS 'Index of the draw.';
COMMENT ON COLUMN variant_statistics.arm IS 'Index of the arm within the draw.';
COMMENT ON COLUMN variant_statistics.assignments IS 'Visitors assigned under that snapshot.';
COMMENT ON COLUMN variant_statistics.conversions IS 'How many of them converted.';
COMMENT ON COLUMN variant_statistics.value_sum IS 'Sum of their conversion values.';
COMMENT ON COLUMN variant_statistics.value_sum_squares IS 'Sum of the squares of their conversion values.';
