-- What a user may do.

-- Absent from databases made before the original files had roles.
ALTER TABLE users ADD COLUMN IF NOT EXISTS role VARCHAR(50) DEFAULT 'client';

CREATE TABLE IF NOT EXISTS roles (name VARCHAR(50) PRIMARY KEY);
ALTER TABLE roles ADD COLUMN IF NOT EXISTS description TEXT;

INSERT INTO roles (name, description) VALUES
    ('admin', 'Sees and changes everything.'),
    ('client', 'Sees and changes what is the user''s own.')
ON CONFLICT (name) DO NOTHING;

-- users.role is the role that everybody has; rows here add further ones.
CREATE TABLE IF NOT EXISTS user_roles (
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    role VARCHAR(50) NOT NULL REFERENCES roles(name),
    granted_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, role)
);

COMMENT ON TABLE roles IS 'The roles that a user can have.';
COMMENT ON COLUMN roles.name IS 'The value of users.role and user_roles.role.';
COMMENT ON COLUMN roles.description IS 'What the role may do.';
COMMENT ON TABLE user_roles IS 'Roles of a user beyond users.role.';
COMMENT ON COLUMN user_roles.user_id IS 'Who has the role.';
COMMENT ON COLUMN user_roles.role IS 'The further role.';
COMMENT ON COLUMN user_roles.granted_at IS 'When the role was given.';
