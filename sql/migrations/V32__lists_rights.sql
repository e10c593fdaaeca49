-- Who owns what V31 made. As with V11, this file may be run again at any time, after it. The server needs
-- no right: a trigger asks for none.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'samplit_owner')
        AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        ALTER FUNCTION samplit_created_now() OWNER TO samplit_owner;
    END IF;
END
$$;
