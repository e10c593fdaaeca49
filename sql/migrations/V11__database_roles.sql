-- Database roles, and who may do what. This file may be run again at any time, for example after
-- an administrator has made roles that the migrating role was not allowed to make.
--
--   samplit_owner     owns the tables, where a superuser migrates
--   samplit_migrator  may act as the owner; log in as a member of it to migrate
--   samplit_app       the server: reads and writes, but only appends to the trail
--   samplit_auditor   reads the trail and what is needed to judge it; no visitor, no key
--
-- None can log in. Make login roles and grant them one: GRANT samplit_app TO samplit_server.

DO $$
DECLARE
    wanted TEXT;
    may_create BOOLEAN := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
BEGIN
    FOREACH wanted IN ARRAY ARRAY['samplit_owner', 'samplit_migrator', 'samplit_app', 'samplit_auditor']
    LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            CONTINUE;
        ELSIF NOT may_create THEN
            RAISE NOTICE 'role % does not exist and % may not create it; its grants are skipped',
                wanted, current_user;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            IF wanted = 'samplit_migrator' THEN
                GRANT samplit_owner TO samplit_migrator;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            -- Roles belong to the cluster; the migration of another database was faster.
            NULL;
        END;
    END LOOP;
END
$$;

DO $$
DECLARE
    schema_name TEXT := current_schema();
    tables CONSTANT TEXT[] := ARRAY[
        'users', 'roles', 'user_roles', 'api_keys', 'sessions',
        'experiments', 'experiment_elements', 'element_variants', 'assignments', 'goals',
        'exclusion_rules', 'excluded_sessions', 'variant_statistics', 'experiment_keys',
        'algorithm_audit_trail', 'algorithm_audit_trail_legacy', 'audit_heads', 'audit_checkpoints',
        'platform_installations', 'oauth_tokens', 'funnels', 'funnel_nodes', 'funnel_edges',
        'leads', 'user_onboarding', 'subscriptions'];
    append_only CONSTANT TEXT[] := ARRAY['algorithm_audit_trail', 'audit_checkpoints'];
    read_only CONSTANT TEXT[] := ARRAY['algorithm_audit_trail_legacy'];
    never_deleted CONSTANT TEXT[] := ARRAY['audit_heads', 'experiment_keys'];
    audited CONSTANT TEXT[] := ARRAY[
        'experiments', 'experiment_elements', 'element_variants', 'variant_statistics',
        'algorithm_audit_trail', 'algorithm_audit_trail_legacy', 'audit_heads', 'audit_checkpoints'];
    name TEXT;
    rights TEXT;
    has_app BOOLEAN := EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app');
    has_auditor BOOLEAN := EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_auditor');
    has_owner BOOLEAN := EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner');
    is_superuser BOOLEAN := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
    IF has_owner AND is_superuser THEN
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO samplit_owner', schema_name);
        FOREACH name IN ARRAY tables LOOP
            EXECUTE format('ALTER TABLE %I.%I OWNER TO samplit_owner', schema_name, name);
        END LOOP;
        EXECUTE format('ALTER FUNCTION %I.samplit_refuse_trail_change() OWNER TO samplit_owner', schema_name);
    END IF;

    IF has_app THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO samplit_app', schema_name);
        FOREACH name IN ARRAY tables LOOP
            rights := CASE
                WHEN name = ANY (read_only) THEN 'SELECT'
                WHEN name = ANY (append_only) THEN 'SELECT, INSERT'
                WHEN name = ANY (never_deleted) THEN 'SELECT, INSERT, UPDATE'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END;
            EXECUTE format('REVOKE ALL ON %I.%I FROM samplit_app', schema_name, name);
            EXECUTE format('GRANT %s ON %I.%I TO samplit_app', rights, schema_name, name);
        END LOOP;
    END IF;

    IF has_auditor THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO samplit_auditor', schema_name);
        FOREACH name IN ARRAY audited LOOP
            EXECUTE format('REVOKE ALL ON %I.%I FROM samplit_auditor', schema_name, name);
            EXECUTE format('GRANT SELECT ON %I.%I TO samplit_auditor', schema_name, name);
        END LOOP;
    END IF;
END
$$;
