-- Who owns and who may use what V15 made. As with V11, this file may be run again at any time, after it.

DO $$
DECLARE
    tables CONSTANT TEXT[] := ARRAY[
        'exposures', 'variant_exposures', 'selector_misses', 'oauth_states', 'webhook_receipts'];
    name TEXT;
    is_superuser BOOLEAN := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
    FOREACH name IN ARRAY tables LOOP
        IF is_superuser AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner') THEN
            EXECUTE format('ALTER TABLE %I OWNER TO samplit_owner', name);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app') THEN
            EXECUTE format('REVOKE ALL ON %I FROM samplit_app', name);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO samplit_app', name);
        END IF;
    END LOOP;
END
$$;
