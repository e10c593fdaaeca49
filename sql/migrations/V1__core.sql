-- The five core tables, exactly as the original schema files made them, so that a database that
-- was made from those files can be adopted at this version (`samplit-migrate baseline`).
-- Whatever we want different is changed by a later migration.

CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email VARCHAR(255) UNIQUE NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    name VARCHAR(255),
    company VARCHAR(255),
    role VARCHAR(50) DEFAULT 'client',                 -- admin | client
    created_at TIMESTAMPTZ DEFAULT NOW(),
    updated_at TIMESTAMPTZ DEFAULT NOW()
);

CREATE TABLE experiments (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id),
    name VARCHAR(255) NOT NULL,
    description TEXT,
    target_url VARCHAR(2048),
    status VARCHAR(50) DEFAULT 'draft',                -- draft | active | paused | completed | archived
    experiment_type VARCHAR(50) DEFAULT 'ab_test',     -- ab_test | multi_element
    traffic_allocation FLOAT DEFAULT 1.0,
    allocation_strategy VARCHAR(50) DEFAULT 'adaptive', -- adaptive | fixed
    created_at TIMESTAMPTZ DEFAULT NOW(),
    started_at TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    metadata JSONB DEFAULT '{}'
);

CREATE TABLE experiment_elements (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    experiment_id UUID REFERENCES experiments(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    selector_type VARCHAR(50),                         -- css | xpath | id | class
    selector_value VARCHAR(1024),
    fallback_selectors JSONB DEFAULT '[]',
    element_type VARCHAR(50),                          -- text | button | headline | image | link
    original_content JSONB,
    element_order INT DEFAULT 0,
    created_at TIMESTAMPTZ DEFAULT NOW()
);

CREATE TABLE element_variants (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    element_id UUID REFERENCES experiment_elements(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    content JSONB NOT NULL,
    is_control BOOLEAN DEFAULT FALSE,
    is_active BOOLEAN DEFAULT TRUE,
    algorithm_state TEXT,                              -- encrypted Bayesian state
    variant_order INT DEFAULT 0,
    total_allocations INT DEFAULT 0,
    total_conversions INT DEFAULT 0,
    conversion_rate FLOAT DEFAULT 0.0,
    created_at TIMESTAMPTZ DEFAULT NOW()
);

CREATE TABLE assignments (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    experiment_id UUID REFERENCES experiments(id),
    variant_id UUID REFERENCES element_variants(id),
    user_identifier VARCHAR(255) NOT NULL,             -- visitor or browser id
    session_id VARCHAR(255),
    context JSONB DEFAULT '{}',                        -- device, browser, location
    assigned_at TIMESTAMPTZ DEFAULT NOW(),
    converted_at TIMESTAMPTZ,
    conversion_value FLOAT DEFAULT 1.0,
    metadata JSONB,
    UNIQUE (experiment_id, user_identifier)            -- one visitor, one variant
);
