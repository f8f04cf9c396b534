-- What proves the record; see docs/decisions/0011-checkpoints.md.

CREATE FUNCTION is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refused: % is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE checkpoint (
    number   integer     PRIMARY KEY CHECK (number > 0),
    -- The signed envelope, as text: its bytes count.
    envelope text        NOT NULL,
    -- Of the tree of all events before it.
    peaks    bytea[]     NOT NULL,
    -- The events that it adds, as they are handed out: a line of JSON for each run.
    leaves   text        NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE checkpoint IS
    'Append-only. Signed by a key that is not here: what proves something is the copies that were handed out.';
CREATE TRIGGER checkpoint_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();

CREATE TABLE checkpoint_head (
    case_id text COLLATE "C" PRIMARY KEY,
    number  text    NOT NULL,
    seq     integer NOT NULL,
    hash    bytea   NOT NULL
);
COMMENT ON TABLE checkpoint_head IS
    'The heads of all cases as the last checkpoint has them: the leaves of its tree of cases.';

CREATE TABLE checkpoint_place (
    place  text        PRIMARY KEY,
    number integer     NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE checkpoint_place IS 'Up to which checkpoint each place outside has them. The name holds no address.';

CREATE TABLE ledger_epoch (
    number   integer     PRIMARY KEY CHECK (number > 1),
    began_at timestamptz NOT NULL
);
COMMENT ON TABLE ledger_epoch IS 'Append-only. A row for each recovery; the next checkpoint begins a signed epoch by it.';
CREATE TRIGGER ledger_epoch_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_epoch
    FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();

-- The first event of a case commits to its personal facts: SHA-256(salt || facts). They are erased together.
ALTER TABLE personal ADD COLUMN salt bytea, ADD CHECK (salt IS NULL OR facts IS NOT NULL);

-- The log of looks becomes a chain: hash = SHA-256(hash of the row before || the row as a JSON array).
CREATE FUNCTION personal_look_hash(
    prev_hash bytea, id bigint, case_id text, caller text, role text, masked boolean, at timestamptz) RETURNS bytea
    LANGUAGE sql STABLE
    RETURN sha256(prev_hash || convert_to(json_build_array(
        id, case_id, caller, role, masked, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    )::text, 'UTF8'));

ALTER TABLE personal_look DISABLE TRIGGER personal_look_append_only;
ALTER TABLE personal_look ADD COLUMN hash bytea;
DO $$
DECLARE
    look personal_look;
    last bytea := '';
BEGIN
    FOR look IN SELECT * FROM personal_look ORDER BY id LOOP
        last := personal_look_hash(last, look.id, look.case_id, look.caller, look.role, look.masked, look.at);
        UPDATE personal_look SET hash = last WHERE id = look.id;
    END LOOP;
END
$$;
ALTER TABLE personal_look ALTER COLUMN hash SET NOT NULL;
ALTER TABLE personal_look ENABLE TRIGGER personal_look_append_only;

CREATE FUNCTION personal_look_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    -- One after the other until it is committed, so that the order of the ids is that of the chain; the id that the
    -- identity gave was taken before the wait.
    PERFORM pg_advisory_xact_lock(27424450402154855);
    SELECT id, hash INTO last FROM personal_look ORDER BY id DESC LIMIT 1;
    NEW.id := greatest(NEW.id, coalesce(last.id, 0) + 1);
    NEW.hash := personal_look_hash(
        coalesce(last.hash, ''), NEW.id, NEW.case_id, NEW.caller, NEW.role, NEW.masked, NEW.at);
    RETURN NEW;
END
$$;
CREATE TRIGGER personal_look_chained BEFORE INSERT ON personal_look
    FOR EACH ROW EXECUTE FUNCTION personal_look_chain();
