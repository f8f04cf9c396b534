-- What the doors keep: keys of systems, answers to repeated writes, looks at personal data.

CREATE TABLE api_key (
    id         text PRIMARY KEY,
    -- Who acts by it, in the ledger too.
    name       text        NOT NULL UNIQUE,
    -- SHA-256 of the secret part, which is random and long: nothing slower is needed.
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    role       text        NOT NULL,
    scopes     text[]      NOT NULL CHECK (cardinality(scopes) > 0),
    -- Whose cases it reaches; null for every unit.
    units      text[],
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
COMMENT ON TABLE api_key IS 'Keys of systems. A revoked one stays, so that the name is never given again.';

CREATE TABLE door_answer (
    caller     text        NOT NULL,
    key        text        NOT NULL,
    digest     bytea       NOT NULL CHECK (octet_length(digest) = 32),
    -- Null while the first request is under way, or for ever when it died.
    status     integer,
    body       text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX door_answer_created_at ON door_answer (created_at);
COMMENT ON TABLE door_answer IS 'What a write with an Idempotency-Key was answered, for a week.';

CREATE TABLE personal_look (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id text COLLATE "C" NOT NULL,
    caller  text             NOT NULL,
    role    text             NOT NULL,
    -- Whether only masked values were shown.
    masked  boolean          NOT NULL,
    at      timestamptz      NOT NULL DEFAULT now()
);
CREATE INDEX personal_look_case_id ON personal_look (case_id, id);
COMMENT ON TABLE personal_look IS 'Append-only. Who looked at the personal facts of a case.';

CREATE FUNCTION personal_look_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refused: personal_look is append-only', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER personal_look_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON personal_look
    FOR EACH STATEMENT EXECUTE FUNCTION personal_look_is_append_only();
