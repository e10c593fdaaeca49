-- Leads become a part of the product: a note of their owner, a version to change, and statuses that are
-- words of a closed set.

-- Rows of an adopted database may lack what lists are ordered by, or have a status of their own, which is
-- kept beside.
UPDATE leads SET created_at = now() WHERE created_at IS NULL;
UPDATE leads SET status = 'new',
    metadata = CASE WHEN status IS NULL THEN metadata
        WHEN jsonb_typeof(metadata) = 'object' THEN metadata || jsonb_build_object('status_before', status)
        ELSE jsonb_build_object('status_before', status, 'metadata', metadata) END
    WHERE status IS NULL OR status::text NOT IN ('new', 'contacted', 'qualified', 'converted', 'lost');

ALTER TABLE leads
    ADD COLUMN note TEXT,
    ADD COLUMN version BIGINT NOT NULL DEFAULT 1,
    ADD CONSTRAINT leads_status_check
        CHECK (status::text IN ('new', 'contacted', 'qualified', 'converted', 'lost'));

-- Administrators list those of all accounts, of any status.
CREATE INDEX idx_leads_created ON leads (created_at DESC, id DESC);

COMMENT ON COLUMN leads.note IS 'What the owner of the site wrote about the lead.';
COMMENT ON COLUMN leads.version IS 'Grows with every change; the ETag.';
