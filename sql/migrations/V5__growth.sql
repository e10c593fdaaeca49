-- Funnels, leads, onboarding and subscriptions.

CREATE TABLE IF NOT EXISTS funnels (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id),
    name VARCHAR(255) NOT NULL,
    description TEXT,
    status VARCHAR(50) DEFAULT 'draft',
    canvas_data JSONB DEFAULT '{}',                    -- nodes, edges, positions
    created_at TIMESTAMPTZ DEFAULT NOW()
);
CREATE INDEX IF NOT EXISTS idx_funnels_user ON funnels (user_id);

CREATE TABLE IF NOT EXISTS funnel_nodes (id UUID PRIMARY KEY DEFAULT gen_random_uuid());
ALTER TABLE funnel_nodes
    ADD COLUMN IF NOT EXISTS funnel_id UUID REFERENCES funnels(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS node_type VARCHAR(50) DEFAULT 'page',
    ADD COLUMN IF NOT EXISTS name VARCHAR(255),
    ADD COLUMN IF NOT EXISTS config JSONB DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS experiment_id UUID REFERENCES experiments(id) ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS position_x FLOAT DEFAULT 0,
    ADD COLUMN IF NOT EXISTS position_y FLOAT DEFAULT 0,
    ADD COLUMN IF NOT EXISTS created_at TIMESTAMPTZ DEFAULT now();
CREATE INDEX IF NOT EXISTS idx_funnel_nodes_funnel ON funnel_nodes (funnel_id);
CREATE INDEX IF NOT EXISTS idx_funnel_nodes_experiment
    ON funnel_nodes (experiment_id) WHERE experiment_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS funnel_edges (id UUID PRIMARY KEY DEFAULT gen_random_uuid());
ALTER TABLE funnel_edges
    ADD COLUMN IF NOT EXISTS funnel_id UUID REFERENCES funnels(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS source_node_id UUID REFERENCES funnel_nodes(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS target_node_id UUID REFERENCES funnel_nodes(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS condition_type VARCHAR(50) DEFAULT 'always',
    ADD COLUMN IF NOT EXISTS condition JSONB DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS created_at TIMESTAMPTZ DEFAULT now();
CREATE INDEX IF NOT EXISTS idx_funnel_edges_funnel ON funnel_edges (funnel_id);
CREATE INDEX IF NOT EXISTS idx_funnel_edges_source ON funnel_edges (source_node_id);
CREATE INDEX IF NOT EXISTS idx_funnel_edges_target ON funnel_edges (target_node_id);

CREATE TABLE IF NOT EXISTS leads (id UUID PRIMARY KEY DEFAULT gen_random_uuid());
ALTER TABLE leads
    ADD COLUMN IF NOT EXISTS user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS installation_id UUID
        REFERENCES platform_installations(id) ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS email VARCHAR(255),
    ADD COLUMN IF NOT EXISTS name VARCHAR(255),
    ADD COLUMN IF NOT EXISTS company VARCHAR(255),
    ADD COLUMN IF NOT EXISTS phone VARCHAR(50),
    ADD COLUMN IF NOT EXISTS message TEXT,
    ADD COLUMN IF NOT EXISTS status VARCHAR(50) DEFAULT 'new',
    ADD COLUMN IF NOT EXISTS source VARCHAR(100),
    ADD COLUMN IF NOT EXISTS utm_source VARCHAR(255),
    ADD COLUMN IF NOT EXISTS utm_medium VARCHAR(255),
    ADD COLUMN IF NOT EXISTS utm_campaign VARCHAR(255),
    ADD COLUMN IF NOT EXISTS utm_term VARCHAR(255),
    ADD COLUMN IF NOT EXISTS utm_content VARCHAR(255),
    ADD COLUMN IF NOT EXISTS page_url VARCHAR(2048),
    ADD COLUMN IF NOT EXISTS experiment_id UUID REFERENCES experiments(id) ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS variant_id UUID REFERENCES element_variants(id) ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS user_identifier VARCHAR(255),
    ADD COLUMN IF NOT EXISTS submission_key VARCHAR(64),
    ADD COLUMN IF NOT EXISTS metadata JSONB DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS created_at TIMESTAMPTZ DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at TIMESTAMPTZ DEFAULT now();
-- A form may ask for a telephone number only.
ALTER TABLE leads ALTER COLUMN email DROP NOT NULL;
CREATE INDEX IF NOT EXISTS idx_leads_status ON leads (status, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_leads_user ON leads (user_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_leads_experiment
    ON leads (experiment_id) WHERE experiment_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_leads_variant ON leads (variant_id) WHERE variant_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS idx_leads_submission ON leads (installation_id, submission_key);

CREATE TABLE IF NOT EXISTS user_onboarding (
    user_id UUID PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE
);
ALTER TABLE user_onboarding
    ADD COLUMN IF NOT EXISTS step VARCHAR(50) DEFAULT 'welcome',
    ADD COLUMN IF NOT EXISTS completed_steps JSONB DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS completed_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS dismissed_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS created_at TIMESTAMPTZ DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at TIMESTAMPTZ DEFAULT now();

CREATE TABLE IF NOT EXISTS subscriptions (id UUID PRIMARY KEY DEFAULT gen_random_uuid());
ALTER TABLE subscriptions
    ADD COLUMN IF NOT EXISTS user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    ADD COLUMN IF NOT EXISTS plan VARCHAR(50) DEFAULT 'self_hosted',
    ADD COLUMN IF NOT EXISTS status VARCHAR(50) DEFAULT 'active',
    ADD COLUMN IF NOT EXISTS max_active_experiments INT,
    ADD COLUMN IF NOT EXISTS max_monthly_visitors BIGINT,
    ADD COLUMN IF NOT EXISTS max_seats INT,
    ADD COLUMN IF NOT EXISTS provider_customer_id VARCHAR(255),
    ADD COLUMN IF NOT EXISTS provider_subscription_id VARCHAR(255),
    ADD COLUMN IF NOT EXISTS current_period_start TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS current_period_end TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS cancelled_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS created_at TIMESTAMPTZ DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at TIMESTAMPTZ DEFAULT now();
CREATE INDEX IF NOT EXISTS idx_subscriptions_user ON subscriptions (user_id, created_at DESC);
CREATE UNIQUE INDEX IF NOT EXISTS idx_subscriptions_provider
    ON subscriptions (provider_subscription_id);

COMMENT ON TABLE funnels IS 'A path through a site, drawn on a canvas.';

COMMENT ON TABLE funnel_nodes IS 'A step of a funnel.';
COMMENT ON COLUMN funnel_nodes.id IS 'Primary key.';
COMMENT ON COLUMN funnel_nodes.funnel_id IS 'The funnel that the node belongs to.';
COMMENT ON COLUMN funnel_nodes.node_type IS 'page, action, decision, wait or conversion.';
COMMENT ON COLUMN funnel_nodes.name IS 'Label on the canvas.';
COMMENT ON COLUMN funnel_nodes.config IS 'What the node waits for, by node_type.';
COMMENT ON COLUMN funnel_nodes.experiment_id IS 'The experiment that runs on this step; NULL for none.';
COMMENT ON COLUMN funnel_nodes.position_x IS 'Horizontal place on the canvas, in pixels.';
COMMENT ON COLUMN funnel_nodes.position_y IS 'Vertical place on the canvas, in pixels.';
COMMENT ON COLUMN funnel_nodes.created_at IS 'When the node was made.';

COMMENT ON TABLE funnel_edges IS 'A way from one step of a funnel to the next.';
COMMENT ON COLUMN funnel_edges.id IS 'Primary key.';
COMMENT ON COLUMN funnel_edges.funnel_id IS 'The funnel that the edge belongs to.';
COMMENT ON COLUMN funnel_edges.source_node_id IS 'Where the edge leaves.';
COMMENT ON COLUMN funnel_edges.target_node_id IS 'Where the edge arrives.';
COMMENT ON COLUMN funnel_edges.condition_type IS 'always, variant, segment or event.';
COMMENT ON COLUMN funnel_edges.condition IS 'What has to hold, by condition_type.';
COMMENT ON COLUMN funnel_edges.created_at IS 'When the edge was made.';

COMMENT ON TABLE leads IS 'A person who left contact details on a site.';
COMMENT ON COLUMN leads.id IS 'Primary key.';
COMMENT ON COLUMN leads.user_id IS 'The user whose site captured the lead.';
COMMENT ON COLUMN leads.installation_id IS 'The installation that captured the lead.';
COMMENT ON COLUMN leads.email IS 'As the person wrote it.';
COMMENT ON COLUMN leads.name IS 'As the person wrote it.';
COMMENT ON COLUMN leads.company IS 'As the person wrote it.';
COMMENT ON COLUMN leads.phone IS 'As the person wrote it.';
COMMENT ON COLUMN leads.message IS 'As the person wrote it.';
COMMENT ON COLUMN leads.status IS 'new, contacted, qualified, converted or lost.';
COMMENT ON COLUMN leads.source IS 'Where the lead came from, such as the name of a form.';
COMMENT ON COLUMN leads.utm_source IS 'Campaign field of the landing URL.';
COMMENT ON COLUMN leads.utm_medium IS 'Campaign field of the landing URL.';
COMMENT ON COLUMN leads.utm_campaign IS 'Campaign field of the landing URL.';
COMMENT ON COLUMN leads.utm_term IS 'Campaign field of the landing URL.';
COMMENT ON COLUMN leads.utm_content IS 'Campaign field of the landing URL.';
COMMENT ON COLUMN leads.page_url IS 'The page with the form.';
COMMENT ON COLUMN leads.experiment_id IS 'The experiment that the person was in.';
COMMENT ON COLUMN leads.variant_id IS 'The variant that the person saw.';
COMMENT ON COLUMN leads.user_identifier IS 'The visitor, as in assignments.';
COMMENT ON COLUMN leads.submission_key IS 'Hash of one submission; a double submit has the same.';
COMMENT ON COLUMN leads.metadata IS 'Further form fields.';
COMMENT ON COLUMN leads.created_at IS 'When the lead was captured.';
COMMENT ON COLUMN leads.updated_at IS 'When the lead was last changed.';

COMMENT ON TABLE user_onboarding IS 'How far a new user has come.';
COMMENT ON COLUMN user_onboarding.user_id IS 'The user; one row each.';
COMMENT ON COLUMN user_onboarding.step IS 'welcome, install, verify, create_experiment or complete.';
COMMENT ON COLUMN user_onboarding.completed_steps IS 'Step name to the time at which it was done.';
COMMENT ON COLUMN user_onboarding.completed_at IS 'When the last step was done.';
COMMENT ON COLUMN user_onboarding.dismissed_at IS 'When the user put the checklist away.';
COMMENT ON COLUMN user_onboarding.created_at IS 'When onboarding began.';
COMMENT ON COLUMN user_onboarding.updated_at IS 'When the step last changed.';

COMMENT ON TABLE subscriptions IS 'A plan that a user has or had, with its limits.';
COMMENT ON COLUMN subscriptions.id IS 'Primary key.';
COMMENT ON COLUMN subscriptions.user_id IS 'The subscriber.';
COMMENT ON COLUMN subscriptions.plan IS 'Name of the plan; self_hosted has no limits.';
COMMENT ON COLUMN subscriptions.status IS 'State of payment, in the words of the payment provider.';
COMMENT ON COLUMN subscriptions.max_active_experiments IS 'Limit of the plan; NULL for none.';
COMMENT ON COLUMN subscriptions.max_monthly_visitors IS 'Limit of the plan; NULL for none.';
COMMENT ON COLUMN subscriptions.max_seats IS 'Limit of the plan; NULL for none.';
COMMENT ON COLUMN subscriptions.provider_customer_id IS 'The subscriber at the payment provider.';
COMMENT ON COLUMN subscriptions.provider_subscription_id IS 'The subscription at the payment provider.';
COMMENT ON COLUMN subscriptions.current_period_start IS 'Start of the paid period.';
COMMENT ON COLUMN subscriptions.current_period_end IS 'End of the paid period.';
COMMENT ON COLUMN subscriptions.cancelled_at IS 'When the subscriber cancelled.';
COMMENT ON COLUMN subscriptions.created_at IS 'When the subscription began.';
COMMENT ON COLUMN subscriptions.updated_at IS 'When the subscription last changed.';
