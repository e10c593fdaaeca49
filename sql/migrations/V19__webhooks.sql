-- Webhooks out: who is to hear of what happens, what there is to say (the outbox, written in the
-- transaction of the change), and how far each message has come to each receiver.

CREATE TABLE webhook_endpoints (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    url VARCHAR(2048) NOT NULL,
    description VARCHAR(255) NOT NULL DEFAULT '',
    events TEXT[] NOT NULL DEFAULT '{}',
    is_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    disabled_reason VARCHAR(20) CHECK (disabled_reason::text IN ('by_hand', 'gone', 'failing')),
    disabled_at TIMESTAMPTZ,
    secret_sealed TEXT NOT NULL,
    previous_secret_sealed TEXT,
    previous_secret_ends_at TIMESTAMPTZ,
    failing_since TIMESTAMPTZ,
    last_success_at TIMESTAMPTZ,
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CHECK (is_enabled = (disabled_reason IS NULL)),
    CHECK ((disabled_reason IS NULL) = (disabled_at IS NULL)),
    CHECK ((previous_secret_sealed IS NULL) = (previous_secret_ends_at IS NULL))
);
CREATE INDEX idx_webhook_endpoints_user ON webhook_endpoints (user_id);

CREATE TABLE webhook_messages (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    experiment_id UUID REFERENCES experiments(id) ON DELETE CASCADE,
    event VARCHAR(50) NOT NULL,
    once_key VARCHAR(150) UNIQUE,
    payload TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_webhook_messages_user ON webhook_messages (user_id);
CREATE INDEX idx_webhook_messages_experiment ON webhook_messages (experiment_id);
CREATE INDEX idx_webhook_messages_created ON webhook_messages (created_at);

CREATE TABLE webhook_deliveries (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id UUID NOT NULL REFERENCES webhook_messages(id) ON DELETE CASCADE,
    endpoint_id UUID NOT NULL REFERENCES webhook_endpoints(id) ON DELETE CASCADE,
    status VARCHAR(20) NOT NULL DEFAULT 'pending' CHECK (status::text IN ('pending', 'delivered', 'dead')),
    attempts INT NOT NULL DEFAULT 0,
    due_at TIMESTAMPTZ,
    attempted_at TIMESTAMPTZ,
    answer_status INT,
    answer_body TEXT,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (message_id, endpoint_id),
    CHECK ((status::text = 'pending') = (due_at IS NOT NULL))
);
-- What is due at one endpoint, and the list of its deliveries, newest first.
CREATE INDEX idx_webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX idx_webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, created_at DESC, id DESC);

COMMENT ON TABLE webhook_endpoints IS 'Addresses that hear of what happens to the experiments of an account.';
COMMENT ON COLUMN webhook_endpoints.id IS 'The endpoint.';
COMMENT ON COLUMN webhook_endpoints.user_id IS 'Whose; it hears of the experiments of this account.';
COMMENT ON COLUMN webhook_endpoints.url IS 'Where messages are posted; may hold a secret of the receiver.';
COMMENT ON COLUMN webhook_endpoints.description IS 'What the user calls it.';
COMMENT ON COLUMN webhook_endpoints.events IS 'The events that it hears of; empty: all.';
COMMENT ON COLUMN webhook_endpoints.is_enabled IS 'Whether anything is sent to it.';
COMMENT ON COLUMN webhook_endpoints.disabled_reason IS 'Why not: by_hand, gone (it answered 410), failing (nothing else for days).';
COMMENT ON COLUMN webhook_endpoints.disabled_at IS 'Since when not.';
COMMENT ON COLUMN webhook_endpoints.secret_sealed IS 'What messages are signed with, sealed by the secret of the server.';
COMMENT ON COLUMN webhook_endpoints.previous_secret_sealed IS 'The secret before the last rotation, sealed; signs as well until previous_secret_ends_at.';
COMMENT ON COLUMN webhook_endpoints.previous_secret_ends_at IS 'When the previous secret ends.';
COMMENT ON COLUMN webhook_endpoints.failing_since IS 'The first failure since the last success; NULL: the last attempt succeeded, or none was made.';
COMMENT ON COLUMN webhook_endpoints.last_success_at IS 'When a message was last taken.';
COMMENT ON COLUMN webhook_endpoints.version IS 'Grows with every change; the ETag.';
COMMENT ON COLUMN webhook_endpoints.created_at IS 'When it was made.';
COMMENT ON COLUMN webhook_endpoints.updated_at IS 'When it last changed.';
COMMENT ON TABLE webhook_messages IS 'The outbox: what there is to say, once for all endpoints of an account.';
COMMENT ON COLUMN webhook_messages.id IS 'The message; the header webhook-id.';
COMMENT ON COLUMN webhook_messages.user_id IS 'Whose endpoints hear of it.';
COMMENT ON COLUMN webhook_messages.experiment_id IS 'What it is about; NULL: no experiment.';
COMMENT ON COLUMN webhook_messages.event IS 'What happened, such as experiment.started.';
COMMENT ON COLUMN webhook_messages.once_key IS 'What is said once only has a key; NULL: may be said again.';
COMMENT ON COLUMN webhook_messages.payload IS 'The body, byte for byte as it is signed.';
COMMENT ON COLUMN webhook_messages.created_at IS 'When it happened.';
COMMENT ON TABLE webhook_deliveries IS 'How far each message has come to each endpoint.';
COMMENT ON COLUMN webhook_deliveries.id IS 'The delivery.';
COMMENT ON COLUMN webhook_deliveries.message_id IS 'What is delivered.';
COMMENT ON COLUMN webhook_deliveries.endpoint_id IS 'Where to.';
COMMENT ON COLUMN webhook_deliveries.status IS 'pending, delivered, or dead: not tried any more by itself.';
COMMENT ON COLUMN webhook_deliveries.attempts IS 'How often it was tried since it was made or replayed.';
COMMENT ON COLUMN webhook_deliveries.due_at IS 'When it is to be tried; while somebody is at it, when somebody else may take over.';
COMMENT ON COLUMN webhook_deliveries.attempted_at IS 'When the outcome of the last attempt was known.';
COMMENT ON COLUMN webhook_deliveries.answer_status IS 'The HTTP status of the last answer; NULL: there was none.';
COMMENT ON COLUMN webhook_deliveries.answer_body IS 'The beginning of the last answer.';
COMMENT ON COLUMN webhook_deliveries.error IS 'Why the last attempt failed, in words.';
COMMENT ON COLUMN webhook_deliveries.created_at IS 'When it was put into the outbox.';
