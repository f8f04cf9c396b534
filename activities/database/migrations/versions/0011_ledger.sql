-- A case is its ledger: it can be started again from what stands here.

CREATE TABLE case_text (
    case_id text COLLATE "C" NOT NULL,
    seq     integer          NOT NULL,
    field   text             NOT NULL,
    -- Erased together: then nobody can try texts until one fits the commitment.
    salt    bytea,
    text    text,
    PRIMARY KEY (case_id, seq, field),
    CHECK ((salt IS NULL) = (text IS NULL))
);
COMMENT ON TABLE case_text IS
    'What people wrote freely. The body of the event holds SHA-256(salt || text) in its place.';

-- What a handover has given over is found by the reason that it gave. A hash, since a text may be longer than
-- an entry of a tree.
DROP INDEX case_event_assigned_for;
CREATE INDEX case_text_reason ON case_text USING hash (text) WHERE field = 'reason';

CREATE TABLE case_request (
    case_id    text COLLATE "C" NOT NULL,
    request_id text             NOT NULL,
    seq        integer          NOT NULL,
    salt       bytea            NOT NULL,
    digest     bytea            NOT NULL,
    PRIMARY KEY (case_id, request_id)
);
COMMENT ON TABLE case_request IS
    'Requests and the last event that each led to. digest = HMAC-SHA256(salt, the hex SHA-256 of its content).';

ALTER TABLE case_file ADD COLUMN held_by text;
COMMENT ON COLUMN case_file.held_by IS 'The run that records for the case; no other may. Null: whoever is the first.';

CREATE TABLE case_number_given (
    kind    text             NOT NULL,
    number  text             NOT NULL,
    case_id text COLLATE "C" NOT NULL,
    at      timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, number, case_id)
);
COMMENT ON TABLE case_number_given IS
    'Append-only. A number with two cases was given twice, before and after an older casebook was restored.';

INSERT INTO case_number_given (kind, number, case_id, at) SELECT kind, number, case_id, opened_at FROM case_file;

CREATE FUNCTION case_number_given_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refused: case_number_given is append-only', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER case_number_given_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON case_number_given
    FOR EACH STATEMENT EXECUTE FUNCTION case_number_given_is_append_only();

ALTER TABLE personal
    ADD COLUMN intake_salt   bytea,
    ADD COLUMN intake_digest bytea,
    ADD CHECK ((intake_salt IS NULL) = (intake_digest IS NULL)),
    ADD CHECK (intake_digest IS NULL OR erased_at IS NULL);
COMMENT ON COLUMN personal.intake_digest IS 'HMAC-SHA256(intake_salt, the hex SHA-256 of the content of the intake).';

CREATE TABLE casebook_recovery (
    one   boolean     PRIMARY KEY DEFAULT true CHECK (one),
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE casebook_recovery IS
    'One row from when the ledger was found behind the cases until an operator has recovered them.';
