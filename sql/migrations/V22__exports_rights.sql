-- Who owns and who may use what V21 made. As with V11, this file may be run again at any time, after it.
--
--   samplit_reader   reads the reporting views, of all accounts, and nothing else; for BI tools
--
-- It cannot log in. Make login roles and grant it: GRANT samplit_reader TO metabase.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_reader') THEN
        RETURN;
    ELSIF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        RAISE NOTICE 'role samplit_reader does not exist and % may not create it; its grants are skipped',
            current_user;
        RETURN;
    END IF;
    BEGIN
        CREATE ROLE samplit_reader NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        -- Roles belong to the cluster; the migration of another database was faster.
        NULL;
    END;
END
$$;

DO $$
DECLARE
    views CONSTANT TEXT[] := ARRAY[
        'reporting_experiments', 'reporting_arms', 'reporting_assignments', 'reporting_daily'];
    has_app BOOLEAN := EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app');
    has_reader BOOLEAN := EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_reader');
    change_owner BOOLEAN := EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner')
        AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    name TEXT;
BEGIN
    IF change_owner THEN
        ALTER TABLE idempotency_keys OWNER TO samplit_owner;
    END IF;
    IF has_app THEN
        REVOKE ALL ON idempotency_keys FROM samplit_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO samplit_app;
    END IF;
    IF has_reader THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO samplit_reader', current_schema());
    END IF;
    FOREACH name IN ARRAY views LOOP
        IF change_owner THEN
            EXECUTE format('ALTER VIEW %I OWNER TO samplit_owner', name);
        END IF;
        IF has_reader THEN
            EXECUTE format('REVOKE ALL ON %I FROM samplit_reader', name);
            EXECUTE format('GRANT SELECT ON %I TO samplit_reader', name);
        END IF;
    END LOOP;
END
$$;
