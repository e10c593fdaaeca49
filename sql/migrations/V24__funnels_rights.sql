-- What V11 gave away of funnels, cut down to what is needed. As with V11, this file may be run again at any
-- time, after it.

DO $$
DECLARE
    rights CONSTANT JSONB := '{
        "funnels": "SELECT, INSERT, UPDATE (name, description, status, canvas_data, window_hours, version, updated_at, activated_at)",
        "funnel_nodes": "SELECT, INSERT, DELETE, UPDATE (node_type, name, config, experiment_id, position_x, position_y)",
        "funnel_edges": "SELECT, INSERT, DELETE, UPDATE (source_node_id, target_node_id, condition_type, condition)"}';
    name TEXT;
    allowed TEXT;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app') THEN
        RETURN;
    END IF;
    FOR name, allowed IN SELECT * FROM jsonb_each_text(rights) LOOP
        EXECUTE format('REVOKE ALL ON %I FROM samplit_app', name);
        EXECUTE format('GRANT %s ON %I TO samplit_app', allowed, name);
    END LOOP;
END
$$;
