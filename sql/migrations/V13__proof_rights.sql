-- Who owns and who may use what V12 made. As with V11, this file may be run again at any time, after it.

DO $$
DECLARE
    checking CONSTANT TEXT := 'samplit_check_redaction()';
    redacting CONSTANT TEXT := 'samplit_redact(UUID, BIGINT, TEXT, TEXT, UUID, BIGINT)';
    hashing CONSTANT TEXT := 'samplit_entry_hash(UUID, BIGINT, VARCHAR, UUID, VARCHAR, BIGINT, TEXT)';
    routine TEXT;
    is_superuser BOOLEAN := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
    IF is_superuser AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner') THEN
        FOREACH routine IN ARRAY ARRAY[checking, redacting, hashing] LOOP
            EXECUTE format('ALTER FUNCTION %s OWNER TO samplit_owner', routine);
        END LOOP;
        ALTER TABLE erasures OWNER TO samplit_owner;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app') THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO samplit_app', redacting);
        REVOKE ALL ON erasures FROM samplit_app;
        GRANT SELECT, INSERT ON erasures TO samplit_app;
    END IF;
END
$$;
