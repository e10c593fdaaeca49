-- What of leads the server may do. As with V11, this file may be run again at any time, after V27.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_app') THEN
        REVOKE ALL ON leads FROM samplit_app;
        GRANT SELECT, INSERT, DELETE, UPDATE (email, name, company, phone, message, status, page_url,
            user_identifier, metadata, note, version, updated_at, submission_key, utm_term,
            utm_content) ON leads TO samplit_app;
    END IF;
END
$$;
