-- What experiments on a page need: a public key, goals that a page can see, installations with their
-- origins, exposures, selectors that found nothing, and the state of OAuth and webhooks.

ALTER TABLE experiments
    ADD COLUMN key VARCHAR(100)
        CHECK (key ~ '^[a-z0-9][a-z0-9_.-]*$');
CREATE UNIQUE INDEX idx_experiments_key ON experiments (user_id, key) WHERE key IS NOT NULL;

ALTER TABLE goals ADD COLUMN trigger JSONB;

ALTER TABLE platform_installations
    ADD COLUMN name VARCHAR(255),
    ADD COLUMN origins TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN allow_raw_html BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN respect_gpc BOOLEAN NOT NULL DEFAULT TRUE,
    ADD COLUMN hide_timeout_ms INT NOT NULL DEFAULT 500 CHECK (hide_timeout_ms BETWEEN 0 AND 1000),
    ADD COLUMN previous_token VARCHAR(255) UNIQUE,
    ADD COLUMN previous_token_ends_at TIMESTAMPTZ,
    ADD COLUMN verified_at TIMESTAMPTZ,
    ADD COLUMN last_seen_at TIMESTAMPTZ,
    ADD COLUMN updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- One row per visitor who has really seen a variant. No identifier: erasing a visitor leaves it.
CREATE TABLE exposures (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    assignment_id UUID NOT NULL,
    exposed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_id, assignment_id)
);

-- Their number. In shards, because pages report them one by one and would queue for a single row.
CREATE TABLE variant_exposures (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    element SMALLINT NOT NULL,
    arm SMALLINT NOT NULL,
    shard SMALLINT NOT NULL,
    total BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment_id, element, arm, shard)
);

CREATE TABLE selector_misses (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    element_id UUID NOT NULL,
    page VARCHAR(512) NOT NULL,
    misses BIGINT NOT NULL DEFAULT 1,
    first_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_id, element_id, page)
);

-- Whoever wrote into this table before had no rule to keep.
DELETE FROM excluded_sessions later USING excluded_sessions earlier
    WHERE later.experiment_id = earlier.experiment_id
        AND coalesce(later.session_id, later.user_identifier) = coalesce(earlier.session_id, earlier.user_identifier)
        AND (later.excluded_at, later.id) > (earlier.excluded_at, earlier.id);
-- One row per visit and experiment. What is left of an erased visitor is none any more.
CREATE UNIQUE INDEX idx_excluded_sessions_once
    ON excluded_sessions (experiment_id, coalesce(session_id, user_identifier));

CREATE TABLE oauth_states (
    state_hash VARCHAR(64) PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    shop VARCHAR(255) NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_oauth_states_user ON oauth_states (user_id);
CREATE INDEX idx_oauth_states_expires ON oauth_states (expires_at);

CREATE TABLE webhook_receipts (
    provider VARCHAR(50) NOT NULL,
    delivery_id VARCHAR(255) NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, delivery_id)
);
CREATE INDEX idx_webhook_receipts_received ON webhook_receipts (received_at);

COMMENT ON COLUMN experiments.key IS 'What feature-flag clients call the experiment; unique per owner.';
COMMENT ON COLUMN goals.trigger IS 'What on a page reaches the goal: a click, a form, a page, an event; NULL: only callers say so.';
COMMENT ON COLUMN platform_installations.name IS 'What the user calls the site.';
COMMENT ON COLUMN platform_installations.origins IS 'Origins besides those of the domain that may use the token, as scheme://host[:port].';
COMMENT ON COLUMN platform_installations.allow_raw_html IS 'Whether HTML of variants is put into pages as it is, scripts included.';
COMMENT ON COLUMN platform_installations.respect_gpc IS 'Whether Global Privacy Control means that nothing is recorded.';
COMMENT ON COLUMN platform_installations.hide_timeout_ms IS 'How long elements under test stay hidden at most while their variant is asked for.';
COMMENT ON COLUMN platform_installations.previous_token IS 'The token before the last rotation, good until previous_token_ends_at.';
COMMENT ON COLUMN platform_installations.previous_token_ends_at IS 'When the previous token ends.';
COMMENT ON COLUMN platform_installations.verified_at IS 'When the snippet was first seen on the domain; NULL: not yet.';
COMMENT ON COLUMN platform_installations.last_seen_at IS 'When a page last asked, to within a minute or so.';
COMMENT ON COLUMN platform_installations.updated_at IS 'When the installation last changed.';
COMMENT ON COLUMN platform_installations.version IS 'Grows with every change; the ETag.';
COMMENT ON TABLE exposures IS 'Visitors who have really seen their variant.';
COMMENT ON COLUMN exposures.experiment_id IS 'The experiment.';
COMMENT ON COLUMN exposures.assignment_id IS 'The assignment that was shown.';
COMMENT ON COLUMN exposures.exposed_at IS 'When it was first shown.';
COMMENT ON TABLE variant_exposures IS 'How many visitors have really seen an arm, in shards to be summed.';
COMMENT ON COLUMN variant_exposures.experiment_id IS 'The experiment.';
COMMENT ON COLUMN variant_exposures.element IS 'Index of the draw.';
COMMENT ON COLUMN variant_exposures.arm IS 'Index of the arm within the draw.';
COMMENT ON COLUMN variant_exposures.shard IS 'Which part of the number.';
COMMENT ON COLUMN variant_exposures.total IS 'The part.';
COMMENT ON TABLE selector_misses IS 'Elements that a page did not have when their variant was to be shown.';
COMMENT ON COLUMN selector_misses.experiment_id IS 'The experiment.';
COMMENT ON COLUMN selector_misses.element_id IS 'The element whose selectors found nothing.';
COMMENT ON COLUMN selector_misses.page IS 'Host and path of the page.';
COMMENT ON COLUMN selector_misses.misses IS 'How often.';
COMMENT ON COLUMN selector_misses.first_seen_at IS 'When first.';
COMMENT ON COLUMN selector_misses.last_seen_at IS 'When last.';
COMMENT ON TABLE oauth_states IS 'Grants under way: each state is used once and expires.';
COMMENT ON COLUMN oauth_states.state_hash IS 'SHA-256 of the state, 64 hex digits.';
COMMENT ON COLUMN oauth_states.user_id IS 'Who asked for the grant.';
COMMENT ON COLUMN oauth_states.shop IS 'The shop that is to grant it.';
COMMENT ON COLUMN oauth_states.expires_at IS 'Until when the state is good.';
COMMENT ON TABLE webhook_receipts IS 'Deliveries of webhooks that were taken in, so that a repeat does nothing.';
COMMENT ON COLUMN webhook_receipts.provider IS 'Who delivers, such as shopify.';
COMMENT ON COLUMN webhook_receipts.delivery_id IS 'The id that the provider gives the delivery.';
COMMENT ON COLUMN webhook_receipts.received_at IS 'When it came first.';
