-- Funnels as they are drawn, followed and put away.

ALTER TABLE funnels
    ADD COLUMN window_hours INT NOT NULL DEFAULT 168 CHECK (window_hours BETWEEN 1 AND 2160),
    ADD COLUMN version BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN activated_at TIMESTAMPTZ;

COMMENT ON COLUMN funnels.id IS 'Primary key.';
COMMENT ON COLUMN funnels.user_id IS 'Whose it is.';
COMMENT ON COLUMN funnels.name IS 'What the user calls it.';
COMMENT ON COLUMN funnels.description IS 'What it is about.';
COMMENT ON COLUMN funnels.status IS 'draft, active, paused or archived.';
COMMENT ON COLUMN funnels.canvas_data IS 'Nodes, edges and viewport as they were saved; the rows of funnel_nodes and funnel_edges say the same.';
COMMENT ON COLUMN funnels.window_hours IS 'How long a visitor has from the first step to the last.';
COMMENT ON COLUMN funnels.version IS 'Grows with every change; the ETag.';
COMMENT ON COLUMN funnels.created_at IS 'When it was made.';
COMMENT ON COLUMN funnels.updated_at IS 'When it last changed.';
COMMENT ON COLUMN funnels.activated_at IS 'When it was first activated; NULL: never.';
