-- Limits of the proof: how far the clock of a trail goes, what a pseudonym looks like, and no right of
-- the server that none of its statements needs. As with V11 and V13, this file may be run again at any
-- time, after them.

-- Appends a redaction entry and replaces the payload that it names. payload_sha256 is the hash of the
-- canonical payload; a wrong one is refused. Gives the sequence number of the new entry.
-- As in V12, but for the clock: it comes from the caller, who may take it a little ahead of the server's
-- (the server of the API has a clock of its own) and not to the end of time, where it would stand still.
-- Behind the head it never goes, whatever the head says.
CREATE OR REPLACE FUNCTION samplit_redact(
    of_experiment UUID, of_sequence BIGINT, payload_sha256 TEXT, because TEXT,
    entry_id UUID, now_us BIGINT
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    head audit_heads;
    target algorithm_audit_trail;
    payload TEXT;
    latest_us CONSTANT BIGINT :=
        round(extract(epoch FROM clock_timestamp() + interval '5 minutes') * 1000000)::bigint;
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
    at_us := greatest(head.last_us, least(coalesce(now_us, 0), latest_us));
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
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION samplit_redact(UUID, BIGINT, TEXT, TEXT, UUID, BIGINT)'
        ' SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;

-- What the server may write where a trail and its proof depend on it, or its own rights do: the columns
-- that its statements name. REVOKE on a table takes back what was granted on its columns, too.
DO $$
DECLARE
    name TEXT;
    rights TEXT;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app') THEN
        RETURN;
    END IF;
    FOR name, rights IN VALUES
        ('audit_heads', 'SELECT, '
            'INSERT (experiment_id, incarnation, size, head_hash, frontier, last_us, snapshot_seq, '
            'snapshot_us, config_version), '
            'UPDATE (incarnation, size, head_hash, frontier, last_us, snapshot_seq, snapshot_us, '
            'config_version, sealed_us, hold)'),
        ('experiment_keys', 'SELECT, INSERT, UPDATE (pid_key_sealed)'),
        ('erasures', 'SELECT, INSERT (experiment_id, pseudonym)'),
        ('assignments', 'SELECT, '
            'INSERT (id, experiment_id, variant_id, user_identifier, session_id, context, assigned_at, '
            'metadata, snapshot_seq), '
            'UPDATE (user_identifier, session_id, context, converted_at, conversion_value, '
            'conversion_event_id, conversion_seq)'),
        ('variant_statistics', 'SELECT, INSERT, DELETE, '
            'UPDATE (assignments, conversions, value_sum, value_sum_squares)'),
        ('experiments', 'SELECT, INSERT, UPDATE'),
        ('experiment_elements', 'SELECT, INSERT, DELETE'),
        ('element_variants', 'SELECT, INSERT, '
            'UPDATE (is_active, algorithm_state, total_allocations, total_conversions, conversion_rate)'),
        ('goals', 'SELECT, INSERT, DELETE'),
        ('users', 'SELECT, INSERT (id, email, password_hash, role), UPDATE (email)'),
        ('api_keys', 'SELECT, '
            'INSERT (id, user_id, name, key_prefix, key_hash, scopes, created_at, expires_at), '
            'UPDATE (last_used_at, revoked_at)'),
        ('roles', 'SELECT'),
        ('user_roles', 'SELECT')
    LOOP
        EXECUTE format('REVOKE ALL ON %I FROM samplit_app', name);
        EXECUTE format('GRANT %s ON %I TO samplit_app', rights, name);
    END LOOP;
END
$$;

-- The constraints come last: the lock of the trail is held from here to the end of the file.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'erasures'::regclass
        AND conname = 'erasures_pseudonym_check') THEN
        ALTER TABLE erasures ADD CONSTRAINT erasures_pseudonym_check
            CHECK (pseudonym::text ~ '^[0-9a-f]{64}$');
    END IF;
    -- Microseconds since 1970 stay below 2^53, the largest integer of the format, in whole seconds.
    -- NOT VALID for good: to validate is to read the whole trail, under this very lock as long as it is
    -- done in this transaction, and could only stop the upgrade for an entry that nobody may change.
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'algorithm_audit_trail'::regclass
        AND conname = 'algorithm_audit_trail_created_at_check') THEN
        ALTER TABLE algorithm_audit_trail ADD CONSTRAINT algorithm_audit_trail_created_at_check
            CHECK (created_at >= to_timestamp(0) AND created_at <= to_timestamp(9007199254)) NOT VALID;
    END IF;
END
$$;
