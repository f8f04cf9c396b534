-- Erasure of what cases hold of persons: who asked for it and who decided it, and what forbids it.

CREATE TABLE erasure (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    why         text        NOT NULL,
    -- Null where the policy asks for it.
    asked_by    text,
    asked_role  text,
    asked_person text,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    -- Null until somebody else has decided it.
    approved    boolean,
    decided_by  text,
    decided_role text,
    decided_at  timestamptz,
    CHECK ((approved IS NULL) = (decided_by IS NULL) AND (approved IS NULL) = (decided_at IS NULL))
);
COMMENT ON TABLE erasure IS 'Who asked that cases are erased, and who decided it. A decided one never changes.';
CREATE FUNCTION erasure_is_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR OLD.approved IS NOT NULL THEN
        RAISE EXCEPTION '% refused: an erasure is decided once, and stays', TG_OP USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER erasure_decided_once BEFORE UPDATE OR DELETE ON erasure
    FOR EACH ROW EXECUTE FUNCTION erasure_is_decided_once();

CREATE TABLE erasure_case (
    erasure   bigint           NOT NULL REFERENCES erasure (id),
    case_id   text COLLATE "C" NOT NULL,
    -- When it was erased from the casebook; the code by which it was refused meanwhile.
    erased_at timestamptz,
    refused   text,
    -- When nothing was left elsewhere: in the engine, in the folder of mails.
    gone_at   timestamptz,
    PRIMARY KEY (erasure, case_id)
);
COMMENT ON TABLE erasure_case IS 'The cases of an erasure, and how far it has come with each.';
CREATE INDEX erasure_case_left ON erasure_case (erasure, case_id) WHERE gone_at IS NULL AND refused IS NULL;
CREATE INDEX erasure_case_erased ON erasure_case (case_id) WHERE erased_at IS NOT NULL;

CREATE TABLE legal_hold (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id   text COLLATE "C" NOT NULL,
    -- The file number of a court or an authority: no words of persons.
    reference text             NOT NULL,
    set_by    text             NOT NULL,
    set_at    timestamptz      NOT NULL DEFAULT now(),
    lifted_by text,
    lifted_at timestamptz,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
COMMENT ON TABLE legal_hold IS 'As long as one stands, nothing of the case is erased.';
CREATE UNIQUE INDEX legal_hold_standing ON legal_hold (case_id) WHERE lifted_at IS NULL;

-- Cases whose time to be kept may have passed.
CREATE INDEX case_file_closed ON case_file (policy, kind, closed_at, case_id)
    -- Not by the view, which changes with every event.
    WHERE closed_at IS NOT NULL AND held_by IS DISTINCT FROM 'erased';

-- What people wrote, and the facts of persons, change in one way only: they go.
CREATE FUNCTION is_only_erased() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := to_jsonb(OLD);
    name text;
    value jsonb;
BEGIN
    FOR name, value IN SELECT * FROM jsonb_each(to_jsonb(NEW)) LOOP
        IF value <> 'null' AND value <> before -> name AND NOT (name = 'erased_at' AND before -> name = 'null') THEN
            RAISE EXCEPTION 'UPDATE refused: % of % is only erased', name, TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;
CREATE TRIGGER case_text_only_erased BEFORE UPDATE ON case_text FOR EACH ROW EXECUTE FUNCTION is_only_erased();
CREATE TRIGGER personal_only_erased BEFORE UPDATE ON personal FOR EACH ROW EXECUTE FUNCTION is_only_erased();
