-- Who may call, what counts as a goal, and who is left out of experiments.

CREATE TABLE api_keys (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    key_prefix VARCHAR(16) NOT NULL,
    key_hash VARCHAR(64) NOT NULL UNIQUE,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);
CREATE INDEX idx_api_keys_user ON api_keys (user_id);

CREATE TABLE sessions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    token_hash VARCHAR(64) NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    user_agent VARCHAR(1024),
    ip_address INET
);
CREATE INDEX idx_sessions_user ON sessions (user_id);
CREATE INDEX idx_sessions_expires ON sessions (expires_at);

CREATE TABLE goals (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    is_primary BOOLEAN NOT NULL DEFAULT FALSE,
    kind VARCHAR(50) NOT NULL DEFAULT 'conversion' CHECK (kind::text IN ('conversion', 'value')),
    default_value FLOAT NOT NULL DEFAULT 1.0,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (experiment_id, name)
);
CREATE UNIQUE INDEX idx_goals_one_primary ON goals (experiment_id) WHERE is_primary;

CREATE TABLE exclusion_rules (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    experiment_id UUID REFERENCES experiments(id) ON DELETE CASCADE,
    kind VARCHAR(50) NOT NULL
        CHECK (kind::text IN ('ip', 'cidr', 'user_agent', 'cookie', 'url_param', 'visitor')),
    value VARCHAR(1024) NOT NULL,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_exclusion_rules_user ON exclusion_rules (user_id);
CREATE INDEX idx_exclusion_rules_experiment
    ON exclusion_rules (experiment_id) WHERE experiment_id IS NOT NULL;

CREATE TABLE excluded_sessions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    session_id VARCHAR(255),
    user_identifier VARCHAR(255),
    reason VARCHAR(100) NOT NULL,
    rule_id UUID REFERENCES exclusion_rules(id) ON DELETE SET NULL,
    excluded_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_excluded_sessions_experiment ON excluded_sessions (experiment_id, excluded_at DESC);
CREATE INDEX idx_excluded_sessions_rule ON excluded_sessions (rule_id) WHERE rule_id IS NOT NULL;

COMMENT ON TABLE api_keys IS 'Keys of programs that call the API.';
COMMENT ON COLUMN api_keys.id IS 'Primary key.';
COMMENT ON COLUMN api_keys.user_id IS 'On whose behalf the key acts.';
COMMENT ON COLUMN api_keys.name IS 'What the user calls the key.';
COMMENT ON COLUMN api_keys.key_prefix IS 'First characters of the token, to recognise it in a list.';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the token, 64 hex digits; the token itself is not kept.';
COMMENT ON COLUMN api_keys.scopes IS 'What the key may do.';
COMMENT ON COLUMN api_keys.created_at IS 'When the key was made.';
COMMENT ON COLUMN api_keys.expires_at IS 'When the key ends by itself; NULL for never.';
COMMENT ON COLUMN api_keys.last_used_at IS 'When the key was last used, to within a minute or so.';
COMMENT ON COLUMN api_keys.revoked_at IS 'When the key was revoked; NULL while it is good.';

COMMENT ON TABLE sessions IS 'Signed-in browsers.';
COMMENT ON COLUMN sessions.id IS 'Primary key.';
COMMENT ON COLUMN sessions.user_id IS 'Who is signed in.';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the cookie''s token, 64 hex digits; the token itself is not kept.';
COMMENT ON COLUMN sessions.created_at IS 'When the user signed in.';
COMMENT ON COLUMN sessions.expires_at IS 'When the session ends.';
COMMENT ON COLUMN sessions.last_seen_at IS 'When the session was last used, to within a minute or so.';
COMMENT ON COLUMN sessions.user_agent IS 'Browser at sign-in.';
COMMENT ON COLUMN sessions.ip_address IS 'Address at sign-in.';

COMMENT ON TABLE goals IS 'What counts as success in an experiment.';
COMMENT ON COLUMN goals.id IS 'Primary key.';
COMMENT ON COLUMN goals.experiment_id IS 'The experiment.';
COMMENT ON COLUMN goals.name IS 'Name that a conversion carries.';
COMMENT ON COLUMN goals.is_primary IS 'The goal that the allocation learns from; at most one per experiment.';
COMMENT ON COLUMN goals.kind IS 'conversion (did it happen) or value (how much).';
COMMENT ON COLUMN goals.default_value IS 'Value of a conversion that names none.';
COMMENT ON COLUMN goals.created_at IS 'When the goal was made.';

COMMENT ON TABLE exclusion_rules IS 'Traffic that is kept out of experiments.';
COMMENT ON COLUMN exclusion_rules.id IS 'Primary key.';
COMMENT ON COLUMN exclusion_rules.user_id IS 'Whose rule it is.';
COMMENT ON COLUMN exclusion_rules.experiment_id IS 'The one experiment it holds for; NULL for all of the user''s.';
COMMENT ON COLUMN exclusion_rules.kind IS 'ip, cidr, user_agent, cookie, url_param or visitor.';
COMMENT ON COLUMN exclusion_rules.value IS 'What is compared, by kind.';
COMMENT ON COLUMN exclusion_rules.is_active IS 'Whether the rule is in force.';
COMMENT ON COLUMN exclusion_rules.created_at IS 'When the rule was made.';

COMMENT ON TABLE excluded_sessions IS 'Visits that got control and were not counted, and why.';
COMMENT ON COLUMN excluded_sessions.id IS 'Primary key.';
COMMENT ON COLUMN excluded_sessions.experiment_id IS 'The experiment that the visit was kept out of.';
COMMENT ON COLUMN excluded_sessions.session_id IS 'The caller''s id of the session.';
COMMENT ON COLUMN excluded_sessions.user_identifier IS 'The visitor, as in assignments.';
COMMENT ON COLUMN excluded_sessions.reason IS 'Why, such as bot or rule.';
COMMENT ON COLUMN excluded_sessions.rule_id IS 'The rule that matched; NULL when none did or it is deleted.';
COMMENT ON COLUMN excluded_sessions.excluded_at IS 'When.';
