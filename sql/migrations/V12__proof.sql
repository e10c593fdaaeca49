-- What proving a trail needs beside it: the seal, the hold after a restore, checkpoints that extend
-- one another, erased visitors, what was registered, and the one way to redact a payload.

ALTER TABLE audit_heads
    ADD COLUMN sealed_us BIGINT,
    ADD COLUMN hold TEXT;

ALTER TABLE audit_checkpoints ADD COLUMN frontier BYTEA;

ALTER TABLE assignments ADD COLUMN conversion_seq BIGINT;

ALTER TABLE experiments
    ADD COLUMN hypothesis JSONB,
    ADD COLUMN registration JSONB;

CREATE TABLE erasures (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE RESTRICT,
    pseudonym VARCHAR(64) NOT NULL,
    erased_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_id, pseudonym)
);

COMMENT ON COLUMN audit_heads.sealed_us IS 'created_at of the seal entry, microseconds since 1970; NULL while entries may follow.';
COMMENT ON COLUMN audit_heads.hold IS 'Why nothing may be appended: an exported checkpoint does not agree with the trail; NULL when all is well.';
COMMENT ON COLUMN audit_checkpoints.frontier IS 'Frontier at that size, whose root is the signed one; the next checkpoint is proved to extend it.';
COMMENT ON COLUMN assignments.conversion_seq IS 'Sequence number of the trail entry of the conversion; NULL without one.';
COMMENT ON COLUMN experiments.hypothesis IS 'What is expected: statement and minimum_effect; fixed at the start.';
COMMENT ON COLUMN experiments.registration IS 'What was registered at the start; its hash stands in the genesis entry. NULL where nothing was.';
COMMENT ON TABLE erasures IS 'Visitors who were erased, by pseudonym: one who returns is not assigned again.';
COMMENT ON COLUMN erasures.experiment_id IS 'The experiment.';
COMMENT ON COLUMN erasures.pseudonym IS 'The visitor as the trail names it.';
COMMENT ON COLUMN erasures.erased_at IS 'When.';

-- The hash of an entry, from its columns and the hash of its payload.
CREATE FUNCTION samplit_entry_hash(
    entry_experiment UUID, entry_sequence BIGINT, entry_previous VARCHAR, entry_id UUID,
    entry_type VARCHAR, entry_us BIGINT, payload_hash TEXT
) RETURNS TEXT LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT encode(sha256(convert_to(concat(
        'samplit-audit/entry/v1', E'\n', entry_experiment, E'\n', entry_sequence, E'\n',
        entry_previous, E'\n', entry_id, E'\n', entry_type, E'\n', entry_us, E'\n', payload_hash, E'\n'
    ), 'UTF8')), 'hex')
$$;
COMMENT ON FUNCTION samplit_entry_hash(UUID, BIGINT, VARCHAR, UUID, VARCHAR, BIGINT, TEXT)
    IS 'current_hash of an entry with these columns and this payload hash (samplit-audit-v1).';

-- The only change of an entry that passes, whoever makes it: its payload is replaced by its hash,
-- and a redaction entry says so. That the hash is the true one follows from current_hash.
CREATE FUNCTION samplit_check_redaction() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stub TEXT := NEW.decision_data ->> 'payload_sha256';
    changed algorithm_audit_trail := NEW;
BEGIN
    changed.decision_data := OLD.decision_data;
    IF changed IS NOT DISTINCT FROM OLD
        AND OLD.decision_type IN ('assignment', 'conversion')
        AND NOT OLD.decision_data ? 'payload_sha256'
        AND stub IS NOT NULL AND NEW.decision_data = jsonb_build_object('payload_sha256', stub)
        AND OLD.current_hash = samplit_entry_hash(
            OLD.experiment_id, OLD.sequence_number, OLD.previous_hash, OLD.id, OLD.decision_type,
            round(extract(epoch FROM OLD.created_at) * 1000000)::bigint, stub)
        AND EXISTS (
            SELECT FROM algorithm_audit_trail r
            WHERE r.experiment_id = OLD.experiment_id AND r.decision_type = 'redaction'
            AND r.decision_type NOT IN ('assignment', 'conversion')
            AND r.sequence_number > OLD.sequence_number
            AND (r.decision_data ->> 'sequence')::bigint = OLD.sequence_number)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'UPDATE on % is refused: the audit trail is append-only', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION samplit_check_redaction() IS 'Trigger that lets nothing change in an entry but a payload into its hash, once a redaction entry says so.';

-- Appends a redaction entry and replaces the payload that it names. payload_sha256 is the hash of the
-- canonical payload; a wrong one is refused. Gives the sequence number of the new entry.
CREATE FUNCTION samplit_redact(
    of_experiment UUID, of_sequence BIGINT, payload_sha256 TEXT, because TEXT,
    entry_id UUID, now_us BIGINT
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    head audit_heads;
    target algorithm_audit_trail;
    payload TEXT;
    at_us BIGINT;
    hash TEXT;
    node BYTEA;
    roots BYTEA;
    rest BIGINT;
BEGIN
    IF because IS NULL OR length(because) NOT BETWEEN 1 AND 500 THEN
        RAISE EXCEPTION 'reason: 1 to 500 characters' USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO head FROM audit_heads WHERE experiment_id = of_experiment FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'experiment_id: % has no trail', of_experiment USING ERRCODE = 'no_data_found';
    END IF;
    IF head.hold IS NOT NULL THEN
        RAISE EXCEPTION 'the trail is on hold: %', head.hold USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT * INTO target FROM algorithm_audit_trail
        WHERE experiment_id = of_experiment AND sequence_number = of_sequence;
    IF NOT FOUND OR target.decision_type NOT IN ('assignment', 'conversion')
        OR target.decision_data ? 'payload_sha256' THEN
        RAISE EXCEPTION 'sequence_number: % is no assignment or conversion with a payload', of_sequence
            USING ERRCODE = 'no_data_found';
    END IF;

    -- PostgreSQL prints a JSON string as RFC 8785 does.
    payload := concat('{"reason":', to_jsonb(because), ',"sequence":', of_sequence, '}');
    at_us := greatest(now_us, head.last_us);
    hash := samplit_entry_hash(of_experiment, head.size + 1, head.head_hash, entry_id, 'redaction', at_us,
        encode(sha256(convert_to(payload, 'UTF8')), 'hex'));
    INSERT INTO algorithm_audit_trail (id, experiment_id, sequence_number, decision_type,
            decision_data, previous_hash, current_hash, created_at)
        VALUES (entry_id, of_experiment, head.size + 1, 'redaction', payload::jsonb, head.head_hash, hash,
            timestamptz 'epoch' + at_us * interval '1 microsecond');

    -- RFC 6962: each set bit at the end of the size is a complete subtree that the new leaf completes.
    node := sha256('\x00'::bytea || decode(hash, 'hex'));
    roots := head.frontier;
    rest := head.size;
    WHILE rest % 2 = 1 LOOP
        node := sha256('\x01'::bytea || substring(roots FROM length(roots) - 31) || node);
        roots := substring(roots FOR length(roots) - 32);
        rest := rest / 2;
    END LOOP;
    UPDATE audit_heads
        SET size = head.size + 1, head_hash = hash, frontier = roots || node, last_us = at_us
        WHERE experiment_id = of_experiment;

    UPDATE algorithm_audit_trail
        SET decision_data = jsonb_build_object('payload_sha256', payload_sha256)
        WHERE experiment_id = of_experiment AND sequence_number = of_sequence;
    RETURN head.size + 1;
END
$$;
COMMENT ON FUNCTION samplit_redact(UUID, BIGINT, TEXT, TEXT, UUID, BIGINT)
    IS 'Redacts the payload of an entry and appends the entry that says so; the only way.';

DROP TRIGGER algorithm_audit_trail_append_only ON algorithm_audit_trail;
CREATE TRIGGER algorithm_audit_trail_append_only
    BEFORE DELETE OR TRUNCATE ON algorithm_audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION samplit_refuse_trail_change();
ALTER TABLE algorithm_audit_trail ENABLE ALWAYS TRIGGER algorithm_audit_trail_append_only;
CREATE TRIGGER algorithm_audit_trail_redaction
    BEFORE UPDATE ON algorithm_audit_trail
    FOR EACH ROW EXECUTE FUNCTION samplit_check_redaction();
ALTER TABLE algorithm_audit_trail ENABLE ALWAYS TRIGGER algorithm_audit_trail_redaction;

-- Neither function may be led astray by the search path of whoever calls it.
DO $$
DECLARE
    path TEXT := format('pg_catalog, %I, pg_temp', current_schema());
BEGIN
    EXECUTE 'ALTER FUNCTION samplit_check_redaction() SET search_path = ' || path;
    EXECUTE 'ALTER FUNCTION samplit_redact(UUID, BIGINT, TEXT, TEXT, UUID, BIGINT) SET search_path = ' || path;
END
$$;
REVOKE ALL ON FUNCTION samplit_redact(UUID, BIGINT, TEXT, TEXT, UUID, BIGINT) FROM PUBLIC;

-- A signed statement is not taken back either.
CREATE TRIGGER audit_checkpoints_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION samplit_refuse_trail_change();
ALTER TABLE audit_checkpoints ENABLE ALWAYS TRIGGER audit_checkpoints_append_only;
