-- Installations on web platforms and the OAuth tokens that belong to them.

CREATE TABLE IF NOT EXISTS platform_installations (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id),
    platform VARCHAR(50),                              -- shopify | wordpress | custom
    installation_token VARCHAR(255) UNIQUE,
    domain VARCHAR(255),
    status VARCHAR(50) DEFAULT 'active',
    oauth_data JSONB,
    created_at TIMESTAMPTZ DEFAULT NOW()
);
CREATE INDEX IF NOT EXISTS idx_installations_user ON platform_installations (user_id);

-- The original text names this table without its columns, and a database made from it may hold
-- one of another shape. What such a table lacks is added column by column; so too in V5.
CREATE TABLE IF NOT EXISTS oauth_tokens (id UUID PRIMARY KEY DEFAULT gen_random_uuid());
ALTER TABLE oauth_tokens
    ADD COLUMN IF NOT EXISTS user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS installation_id UUID
        REFERENCES platform_installations(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS provider VARCHAR(50),
    ADD COLUMN IF NOT EXISTS access_token TEXT,
    ADD COLUMN IF NOT EXISTS refresh_token TEXT,
    ADD COLUMN IF NOT EXISTS scope TEXT,
    ADD COLUMN IF NOT EXISTS expires_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS created_at TIMESTAMPTZ DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at TIMESTAMPTZ DEFAULT now();
CREATE INDEX IF NOT EXISTS idx_oauth_tokens_user ON oauth_tokens (user_id);
CREATE UNIQUE INDEX IF NOT EXISTS idx_oauth_tokens_installation
    ON oauth_tokens (installation_id, provider);

COMMENT ON TABLE platform_installations IS 'A site on which a user has installed the snippet.';
COMMENT ON TABLE oauth_tokens IS 'OAuth grants of an installation; both tokens are sealed at rest.';
COMMENT ON COLUMN oauth_tokens.id IS 'Primary key.';
COMMENT ON COLUMN oauth_tokens.user_id IS 'The user who gave the grant.';
COMMENT ON COLUMN oauth_tokens.installation_id IS 'The installation that the grant serves.';
COMMENT ON COLUMN oauth_tokens.provider IS 'Who issued the grant, such as shopify.';
COMMENT ON COLUMN oauth_tokens.access_token IS 'Sealed access token, base64.';
COMMENT ON COLUMN oauth_tokens.refresh_token IS 'Sealed refresh token, base64; NULL when the provider gives none.';
COMMENT ON COLUMN oauth_tokens.scope IS 'Granted scopes as the provider spells them.';
COMMENT ON COLUMN oauth_tokens.expires_at IS 'When the access token ends; NULL when it does not.';
COMMENT ON COLUMN oauth_tokens.created_at IS 'When the grant was given.';
COMMENT ON COLUMN oauth_tokens.updated_at IS 'When the tokens were last refreshed.';
