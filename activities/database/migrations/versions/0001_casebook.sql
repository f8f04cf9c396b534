-- The casebook: an append-only ledger and what is read off it.
-- Ids sort by code point (COLLATE "C"), so an audit walks them in the same order everywhere.

CREATE TABLE case_event (
    case_id     text COLLATE "C" NOT NULL,
    seq         integer          NOT NULL CHECK (seq > 0),
    type        text             NOT NULL,
    at          timestamptz      NOT NULL,
    recorded_at timestamptz      NOT NULL,
    -- The canonical JSON as text: jsonb would not keep the bytes that the hash is taken over.
    body        text             NOT NULL,
    prev_hash   bytea            NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash        bytea            NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (case_id, seq)
);
COMMENT ON TABLE case_event IS
    'Append-only. hash = SHA-256(prev_hash || body); the first prev_hash is SHA-256(case_id).';

CREATE FUNCTION case_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refused: case_event is append-only', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'What was recorded stays. A correction is a new event of the case.';
END
$$;

-- Per statement, so that TRUNCATE and a statement that would touch no row are refused as well.
CREATE TRIGGER case_event_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON case_event
    FOR EACH STATEMENT EXECUTE FUNCTION case_event_is_append_only();

CREATE TABLE case_file (
    case_id    text COLLATE "C" PRIMARY KEY,
    kind       text        NOT NULL,
    number     text        NOT NULL,
    status     text,
    rung       text,
    holder     text,
    unit       text,
    severity   text,
    policy     text,
    opened_at  timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    closed_at  timestamptz,
    next_due   timestamptz,
    breached   text[]      NOT NULL DEFAULT '{}',
    view       jsonb       NOT NULL,
    head_seq   integer     NOT NULL CHECK (head_seq > 0),
    head_hash  bytea       NOT NULL CHECK (octet_length(head_hash) = 32)
);
COMMENT ON TABLE case_file IS 'One row a case as it stands after its last event, and the head of its chain.';

CREATE UNIQUE INDEX case_file_number ON case_file (number, kind);
CREATE INDEX case_file_status ON case_file (status);
CREATE INDEX case_file_rung ON case_file (rung);
CREATE INDEX case_file_unit ON case_file (unit);
-- Lists show first what is due first; a case with nothing due comes last.
CREATE INDEX case_file_due ON case_file ((coalesce(next_due, 'infinity'::timestamptz)), case_id);

CREATE TABLE case_number (
    kind   text    NOT NULL,
    year   integer NOT NULL,
    month  integer NOT NULL CHECK (month BETWEEN 1 AND 12),
    serial integer NOT NULL CHECK (serial > 0),
    PRIMARY KEY (kind, year, month)
);
COMMENT ON TABLE case_number IS 'The last serial given, per kind and month (S1-5.8).';

CREATE FUNCTION case_number_text(year integer, month integer, serial integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    -- lpad cuts what is longer than asked for, so the ten-thousandth case of a month needs `greatest`.
    RETURN lpad(year::text, 4, '0') || '-' || lpad(month::text, 2, '0') || '-'
        || lpad(serial::text, greatest(4, length(serial::text)), '0');

CREATE TABLE personal (
    case_id   text COLLATE "C" PRIMARY KEY,
    facts     jsonb,
    erased_at timestamptz,
    CHECK (facts IS NULL OR erased_at IS NULL)
);
COMMENT ON TABLE personal IS 'Personal facts, apart from the ledger so that they can be erased.';

CREATE TABLE policy (
    hash     text PRIMARY KEY,
    name     text,
    document text NOT NULL
);
COMMENT ON TABLE policy IS 'Every policy that a case was ever pinned to; hash = SHA-256(document).';

CREATE TABLE notification (
    case_id text COLLATE "C" NOT NULL,
    seq     integer          NOT NULL,
    notice  text             NOT NULL,
    roles   text[]           NOT NULL,
    outcome text             NOT NULL,
    channel text             NOT NULL,
    at      timestamptz      NOT NULL,
    PRIMARY KEY (case_id, seq)
);
COMMENT ON TABLE notification IS 'The "notified" events, one row each.';
