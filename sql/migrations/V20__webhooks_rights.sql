-- Who owns and who may use what V19 made. As with V11, this file may be run again at any time, after it.

DO $$
DECLARE
    rights CONSTANT JSONB := '{
        "webhook_endpoints": "SELECT, INSERT, DELETE, UPDATE (url, description, events, is_enabled, disabled_reason, disabled_at, secret_sealed, previous_secret_sealed, previous_secret_ends_at, failing_since, last_success_at, version, updated_at)",
        "webhook_messages": "SELECT, INSERT, DELETE, UPDATE (payload)",
        "webhook_deliveries": "SELECT, INSERT, UPDATE (status, attempts, due_at, attempted_at, answer_status, answer_body, error)"}';
    name TEXT;
    allowed TEXT;
    is_superuser BOOLEAN := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
    FOR name, allowed IN SELECT * FROM jsonb_each_text(rights) LOOP
        IF is_superuser AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner') THEN
            EXECUTE format('ALTER TABLE %I OWNER TO samplit_owner', name);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app') THEN
            EXECUTE format('REVOKE ALL ON %I FROM samplit_app', name);
            EXECUTE format('GRANT %s ON %I TO samplit_app', allowed, name);
        END IF;
    END LOOP;
END
$$;
