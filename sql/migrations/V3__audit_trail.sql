-- The audit trail as the original schema file made it. V8 makes it strict.

CREATE TABLE IF NOT EXISTS algorithm_audit_trail (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    experiment_id UUID REFERENCES experiments(id),
    sequence_number INT NOT NULL,
    decision_type VARCHAR(50),
    decision_data JSONB NOT NULL,
    previous_hash VARCHAR(64),
    current_hash VARCHAR(64) NOT NULL,
    created_at TIMESTAMPTZ DEFAULT NOW(),
    UNIQUE (experiment_id, sequence_number)
);
