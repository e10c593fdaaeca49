-- Who owns and who may use what V17 made, and what the server may change of accounts, sessions and keys
-- from then on. As with V11, this file may be run again at any time, after V14 and V17.

DO $$
DECLARE
    rights CONSTANT JSONB := '{
        "account_links": "SELECT, INSERT, DELETE",
        "activity_log": "SELECT, INSERT",
        "users": "SELECT, INSERT (id, email, password_hash, role, name), UPDATE (email, password_hash, name, company, role, disabled_at, last_login_at, updated_at)",
        "sessions": "SELECT, INSERT, UPDATE (last_seen_at), DELETE",
        "api_keys": "SELECT, INSERT (id, user_id, name, key_prefix, key_hash, scopes, created_at, expires_at), UPDATE (last_used_at, revoked_at, expires_at)"}';
    made CONSTANT TEXT[] := ARRAY['account_links', 'activity_log'];
    name TEXT;
    allowed TEXT;
    is_superuser BOOLEAN := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
    FOR name, allowed IN SELECT * FROM jsonb_each_text(rights) LOOP
        IF name = ANY (made) AND is_superuser
            AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner') THEN
            EXECUTE format('ALTER TABLE %I OWNER TO samplit_owner', name);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app') THEN
            EXECUTE format('REVOKE ALL ON %I FROM samplit_app', name);
            EXECUTE format('GRANT %s ON %I TO samplit_app', allowed, name);
        END IF;
    END LOOP;
END
$$;
