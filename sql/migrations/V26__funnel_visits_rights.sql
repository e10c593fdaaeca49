-- Who owns and who may use what V25 made. As with V11, this file may be run again at any time, after it.

DO $$
DECLARE
    rights CONSTANT JSONB := '{
        "funnel_visits": "SELECT, INSERT, UPDATE (user_identifier, last_step_at, last_node_id, converted_at, variants, context, events)",
        "funnel_steps": "SELECT, INSERT"}';
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
