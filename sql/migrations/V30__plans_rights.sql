-- Who owns and who may use what V29 made, and what the server may change of subscriptions and onboarding
-- from then on. As with V11, this file may be run again at any time, after V29.

DO $$
DECLARE
    rights CONSTANT JSONB := '{
        "plans": "SELECT, INSERT, UPDATE (title, max_active_experiments, max_monthly_visitors, max_seats, provider_price_id, updated_at)",
        "subscriptions": "SELECT, INSERT, UPDATE (plan, status, max_active_experiments, max_monthly_visitors, max_seats, provider_customer_id, current_period_start, current_period_end, cancelled_at, provider_updated_at, provider_status_at, updated_at)",
        "stripe_events": "SELECT, INSERT, DELETE",
        "usage_baselines": "SELECT, INSERT, DELETE",
        "plan_warnings": "SELECT, INSERT",
        "user_onboarding": "SELECT, INSERT, UPDATE (step, completed_steps, completed_at, dismissed_at, updated_at)"}';
    made CONSTANT TEXT[] := ARRAY['plans', 'stripe_events', 'usage_baselines', 'plan_warnings'];
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
