-- What senders proved of what they sent, beside the events that it led to; see docs/decisions/0013-senders.md.

CREATE TABLE case_proof (
    case_id text COLLATE "C" NOT NULL,
    -- The first and the last event of it.
    first   integer NOT NULL CHECK (first > 0),
    seq     integer NOT NULL CHECK (seq >= first),
    -- Canonical JSON, as text: commitments in place of texts, so that nothing of it has to be erased.
    body    text    NOT NULL,
    PRIMARY KEY (case_id, seq)
);
COMMENT ON TABLE case_proof IS 'Append-only. Signed by the senders; their keys are not here.';
CREATE TRIGGER case_proof_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON case_proof
    FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();
