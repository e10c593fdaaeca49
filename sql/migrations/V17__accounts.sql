-- People: accounts that end, links that let somebody in once, and who changed what.

ALTER TABLE users
    ADD COLUMN disabled_at TIMESTAMPTZ,
    ADD COLUMN last_login_at TIMESTAMPTZ;
-- Nobody writes an email twice in the same case. Not unique: older rows may differ by case alone.
CREATE INDEX idx_users_email_lower ON users (lower(email::text));
CREATE INDEX idx_users_created ON users (created_at DESC, id DESC);

-- A link is used once: whoever uses it takes its row out.
CREATE TABLE account_links (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    kind VARCHAR(50) NOT NULL CHECK (kind::text IN ('setup', 'invite', 'reset', 'sign_in')),
    token_hash VARCHAR(64) NOT NULL UNIQUE,
    user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL,
    CHECK ((user_id IS NULL) = (kind::text = 'setup'))
);
CREATE INDEX idx_account_links_user ON account_links (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX idx_account_links_expires ON account_links (expires_at);

CREATE TABLE activity_log (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    occurred_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    user_id UUID REFERENCES users(id) ON DELETE SET NULL,
    actor_kind VARCHAR(50) NOT NULL CHECK (actor_kind::text IN ('user', 'key', 'system')),
    actor_user_id UUID REFERENCES users(id) ON DELETE SET NULL,
    actor_key_id UUID REFERENCES api_keys(id) ON DELETE SET NULL,
    action VARCHAR(100) NOT NULL,
    subject_kind VARCHAR(50) NOT NULL,
    subject_id UUID,
    detail JSONB NOT NULL DEFAULT '{}',
    request_id VARCHAR(100)
);
CREATE INDEX idx_activity_log_occurred ON activity_log (occurred_at DESC, id DESC);
CREATE INDEX idx_activity_log_user ON activity_log (user_id, occurred_at DESC, id DESC);
CREATE INDEX idx_activity_log_subject ON activity_log (subject_id, occurred_at DESC) WHERE subject_id IS NOT NULL;
CREATE INDEX idx_activity_log_actor ON activity_log (actor_user_id) WHERE actor_user_id IS NOT NULL;
CREATE INDEX idx_activity_log_key ON activity_log (actor_key_id) WHERE actor_key_id IS NOT NULL;

COMMENT ON COLUMN users.disabled_at IS 'Since when nobody comes in with this account or its keys; NULL: it is in use.';
COMMENT ON COLUMN users.last_login_at IS 'When somebody last signed in with it.';
COMMENT ON TABLE account_links IS 'Links that let somebody in once; gone when used.';
COMMENT ON COLUMN account_links.id IS 'Primary key.';
COMMENT ON COLUMN account_links.kind IS 'setup (makes the first admin), invite and reset (set a password), sign_in.';
COMMENT ON COLUMN account_links.token_hash IS 'SHA-256 of the link''s token, 64 hex digits; the token itself is not kept.';
COMMENT ON COLUMN account_links.user_id IS 'Whom it lets in; NULL of a setup link.';
COMMENT ON COLUMN account_links.created_at IS 'When the link was made.';
COMMENT ON COLUMN account_links.expires_at IS 'Until when it is good.';
COMMENT ON TABLE activity_log IS 'Who changed what: one row per change, written in its transaction.';
COMMENT ON COLUMN activity_log.id IS 'Primary key.';
COMMENT ON COLUMN activity_log.occurred_at IS 'When.';
COMMENT ON COLUMN activity_log.user_id IS 'Whose account it concerns; NULL: of nobody''s.';
COMMENT ON COLUMN activity_log.actor_kind IS 'Who did it: a signed-in user, an API key, or the system itself.';
COMMENT ON COLUMN activity_log.actor_user_id IS 'The account that did it; NULL of the system.';
COMMENT ON COLUMN activity_log.actor_key_id IS 'The API key that did it.';
COMMENT ON COLUMN activity_log.action IS 'What was done, like experiment.started.';
COMMENT ON COLUMN activity_log.subject_kind IS 'To what: experiment, installation, user, ...';
COMMENT ON COLUMN activity_log.subject_id IS 'Its id; NULL where it has none of ours, such as a visitor.';
COMMENT ON COLUMN activity_log.detail IS 'What else there is to say; no secret and no visitor.';
COMMENT ON COLUMN activity_log.request_id IS 'The request that did it, as in the answer''s X-Request-Id.';
