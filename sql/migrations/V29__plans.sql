-- Plans and their limits, what makes Stripe's messages count once and in their order, and what it takes
-- to know how much of a plan is used without counting old rows.

CREATE TABLE plans (
    name VARCHAR(50) PRIMARY KEY,
    title VARCHAR(255) NOT NULL,
    max_active_experiments INT CHECK (max_active_experiments >= 0),
    max_monthly_visitors BIGINT CHECK (max_monthly_visitors >= 0),
    max_seats INT CHECK (max_seats >= 0),
    provider_price_id VARCHAR(255) UNIQUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO plans (name, title) VALUES ('self_hosted', 'Self-hosted');

-- Rows of an adopted database may have limits below zero, which limit nothing, and words of their own for how
-- they stand, for which there is no place beside.
UPDATE subscriptions SET
    max_active_experiments = CASE WHEN max_active_experiments >= 0 THEN max_active_experiments END,
    max_monthly_visitors = CASE WHEN max_monthly_visitors >= 0 THEN max_monthly_visitors END,
    max_seats = CASE WHEN max_seats >= 0 THEN max_seats END
    WHERE max_active_experiments < 0 OR max_monthly_visitors < 0 OR max_seats < 0;
UPDATE subscriptions SET status = CASE WHEN status::text = 'cancelled' THEN 'canceled' ELSE 'active' END
    WHERE status::text NOT IN ('trialing', 'active', 'past_due', 'unpaid', 'incomplete',
        'incomplete_expired', 'canceled', 'paused');

-- A database that was adopted may hold a plan that is not in the list, so there is no foreign key.
ALTER TABLE subscriptions
    ADD COLUMN provider_updated_at TIMESTAMPTZ,
    ADD COLUMN provider_status_at TIMESTAMPTZ;
CREATE INDEX idx_subscriptions_created ON subscriptions (created_at DESC, id DESC);
CREATE INDEX idx_subscriptions_plan ON subscriptions (plan);
CREATE INDEX idx_subscriptions_customer
    ON subscriptions (provider_customer_id) WHERE provider_customer_id IS NOT NULL;

CREATE TABLE stripe_events (
    event_id VARCHAR(255) PRIMARY KEY,
    kind VARCHAR(100) NOT NULL,
    happened_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_stripe_events_received ON stripe_events (received_at);

CREATE TABLE usage_baselines (
    experiment_id UUID NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    month TIMESTAMPTZ NOT NULL,
    visitors_before BIGINT NOT NULL,
    PRIMARY KEY (experiment_id, month)
);

CREATE TABLE plan_warnings (
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    month TIMESTAMPTZ NOT NULL,
    resource VARCHAR(50) NOT NULL
        CHECK (resource::text IN ('active_experiments', 'monthly_visitors', 'seats')),
    level SMALLINT NOT NULL CHECK (level = 80 OR level = 100),
    warned_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, month, resource, level)
);

COMMENT ON TABLE plans IS 'What accounts can subscribe to.';
COMMENT ON COLUMN plans.name IS 'The value of subscriptions.plan.';
COMMENT ON COLUMN plans.title IS 'What people call it.';
COMMENT ON COLUMN plans.max_active_experiments IS 'Experiments that may run at once; NULL for any number.';
COMMENT ON COLUMN plans.max_monthly_visitors IS 'New visitors a month; NULL for any number.';
COMMENT ON COLUMN plans.max_seats IS 'Accounts that can come in; NULL for any number.';
COMMENT ON COLUMN plans.provider_price_id IS 'The price at Stripe that stands for the plan; NULL for none.';
COMMENT ON COLUMN plans.created_at IS 'When it was made.';
COMMENT ON COLUMN plans.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN subscriptions.provider_updated_at IS 'Time of the newest event of the subscription itself that was taken in.';
COMMENT ON COLUMN subscriptions.provider_status_at IS 'Time of the newest event that said how it stands; invoices do, too.';
COMMENT ON TABLE stripe_events IS 'Events of Stripe that were taken in, so that each counts once.';
COMMENT ON COLUMN stripe_events.event_id IS 'Its id at Stripe.';
COMMENT ON COLUMN stripe_events.kind IS 'What it is about, like customer.subscription.updated.';
COMMENT ON COLUMN stripe_events.happened_at IS 'When it happened, as Stripe says.';
COMMENT ON COLUMN stripe_events.received_at IS 'When it was taken in.';
COMMENT ON TABLE usage_baselines IS 'How many visitors an experiment had when a month began, found once.';
COMMENT ON COLUMN usage_baselines.experiment_id IS 'Which experiment.';
COMMENT ON COLUMN usage_baselines.month IS 'The first moment of the month, in UTC.';
COMMENT ON COLUMN usage_baselines.visitors_before IS 'Its allocations until then; those of the month are what its counters have grown by.';
COMMENT ON TABLE plan_warnings IS 'Which account was warned of what in which month, so that it is warned once.';
COMMENT ON COLUMN plan_warnings.user_id IS 'Who was warned.';
COMMENT ON COLUMN plan_warnings.month IS 'The first moment of the month, in UTC.';
COMMENT ON COLUMN plan_warnings.resource IS 'What is used up: active_experiments, monthly_visitors or seats.';
COMMENT ON COLUMN plan_warnings.level IS 'How much of it, in percent: 80 or 100.';
COMMENT ON COLUMN plan_warnings.warned_at IS 'When.';
