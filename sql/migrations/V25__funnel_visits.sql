-- How visitors move through funnels.

-- One journey per visitor and funnel. Both tables carry funnel_id first, so that they can be distributed by it.
CREATE TABLE funnel_visits (
    funnel_id UUID NOT NULL REFERENCES funnels(id) ON DELETE CASCADE,
    id UUID NOT NULL,
    user_identifier VARCHAR(255),
    entered_at TIMESTAMPTZ NOT NULL,
    last_step_at TIMESTAMPTZ NOT NULL,
    last_node_id UUID NOT NULL,
    converted_at TIMESTAMPTZ,
    variants JSONB NOT NULL DEFAULT '{}',
    context JSONB NOT NULL DEFAULT '{}',
    events JSONB NOT NULL DEFAULT '[]',
    PRIMARY KEY (funnel_id, id),
    UNIQUE (funnel_id, user_identifier)
);

-- Nodes have no foreign key: those of a funnel that was activated never change, and every step would pay
-- for the look.
CREATE TABLE funnel_steps (
    funnel_id UUID NOT NULL,
    visit_id UUID NOT NULL,
    node_id UUID NOT NULL,
    position SMALLINT NOT NULL,
    reached_at TIMESTAMPTZ NOT NULL,
    from_node_id UUID,
    PRIMARY KEY (funnel_id, visit_id, node_id),
    FOREIGN KEY (funnel_id, visit_id) REFERENCES funnel_visits (funnel_id, id) ON DELETE CASCADE
);

COMMENT ON TABLE funnel_visits IS 'Journeys of visitors through funnels.';
COMMENT ON COLUMN funnel_visits.funnel_id IS 'The funnel.';
COMMENT ON COLUMN funnel_visits.id IS 'Names the journey within its funnel.';
COMMENT ON COLUMN funnel_visits.user_identifier IS 'The visitor; NULL once erased.';
COMMENT ON COLUMN funnel_visits.entered_at IS 'When the first node was reached; the window begins.';
COMMENT ON COLUMN funnel_visits.last_step_at IS 'When the last node so far was reached.';
COMMENT ON COLUMN funnel_visits.last_node_id IS 'The last node so far.';
COMMENT ON COLUMN funnel_visits.converted_at IS 'When the first conversion was reached; NULL: not yet.';
COMMENT ON COLUMN funnel_visits.variants IS 'The variants that the visitor was assigned, by experiment: {experiment: [variant]}.';
COMMENT ON COLUMN funnel_visits.context IS 'What edges ask for of the context: {key: [value at the entry, another one since]}.';
COMMENT ON COLUMN funnel_visits.events IS 'The events that edges wait for and that were reported.';
COMMENT ON TABLE funnel_steps IS 'Nodes that a journey has reached.';
COMMENT ON COLUMN funnel_steps.funnel_id IS 'The funnel.';
COMMENT ON COLUMN funnel_steps.visit_id IS 'The journey.';
COMMENT ON COLUMN funnel_steps.node_id IS 'The node.';
COMMENT ON COLUMN funnel_steps.position IS 'Which step of the journey it is, from 0 on.';
COMMENT ON COLUMN funnel_steps.reached_at IS 'When.';
COMMENT ON COLUMN funnel_steps.from_node_id IS 'The node from which the visitor came; NULL at the entry.';
