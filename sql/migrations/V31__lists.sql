-- Every row of a list has a moment. The original columns let it be NULL, though they have a default; such
-- a row has no place in an order by time, so lists that are read from a cursor never came to it.

-- The earliest moment that is known of a row stands in; where none is, that of this migration.
UPDATE users SET created_at = coalesce(updated_at, now()) WHERE created_at IS NULL;
UPDATE experiments SET created_at = least(started_at, completed_at, updated_at)
    WHERE created_at IS NULL;
UPDATE platform_installations SET created_at = now() WHERE created_at IS NULL;
UPDATE funnels SET created_at = now() WHERE created_at IS NULL;
UPDATE leads SET created_at = coalesce(updated_at, now()) WHERE created_at IS NULL;

-- Types and defaults stay what they were; whoever writes NULL in so many words gets the moment, too.
CREATE FUNCTION samplit_created_now() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    NEW.created_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION samplit_created_now() IS 'Gives a row the moment at which it was made, if it has none.';

CREATE TRIGGER users_created_at BEFORE INSERT OR UPDATE OF created_at ON users
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION samplit_created_now();
CREATE TRIGGER experiments_created_at BEFORE INSERT OR UPDATE OF created_at ON experiments
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION samplit_created_now();
CREATE TRIGGER platform_installations_created_at
    BEFORE INSERT OR UPDATE OF created_at ON platform_installations
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION samplit_created_now();
CREATE TRIGGER funnels_created_at BEFORE INSERT OR UPDATE OF created_at ON funnels
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION samplit_created_now();
CREATE TRIGGER leads_created_at BEFORE INSERT OR UPDATE OF created_at ON leads
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION samplit_created_now();
