-- What timestamp authorities have said of checkpoints; see docs/decisions/0011-checkpoints.md.

CREATE TABLE checkpoint_timestamp (
    number   integer PRIMARY KEY CHECK (number > 0),
    response bytea   NOT NULL
);
COMMENT ON TABLE checkpoint_timestamp IS 'Append-only. The response of an authority (RFC 3161) over the envelope of a checkpoint.';
CREATE TRIGGER checkpoint_timestamp_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint_timestamp
    FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();

-- A temporary table of the session's own would stand before the log of looks, and say what the next id and hash are.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION personal_look_chain() SET search_path = %I, pg_temp', current_schema());
END
$$;
