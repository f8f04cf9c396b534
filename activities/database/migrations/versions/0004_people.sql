-- Who holds a rung: units in a tree, staff, absences and the duty roster (S4-3.2.2).
-- Deferred: a directory is replaced within one transaction, in any order.

CREATE TABLE unit (
    id     text COLLATE "C" PRIMARY KEY,
    parent text COLLATE "C" REFERENCES unit DEFERRABLE INITIALLY DEFERRED,
    CHECK (parent <> id)
);
COMMENT ON TABLE unit IS 'Branches; the one without a parent is headquarters.';

CREATE TABLE staff (
    id       text COLLATE "C" PRIMARY KEY,
    name     text,
    role     text             NOT NULL,
    unit     text COLLATE "C" NOT NULL REFERENCES unit DEFERRABLE INITIALLY DEFERRED,
    language text             NOT NULL CHECK (language IN ('zh', 'en')),
    deputies text[]           NOT NULL DEFAULT '{}',
    -- An array of [channel, address]: an object would forget the order, which is the preference.
    contacts jsonb            NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(contacts) = 'array')
);
COMMENT ON TABLE staff IS 'name and contacts are personal data, the id is a token.';

CREATE TABLE absence (
    person    text COLLATE "C" NOT NULL REFERENCES staff DEFERRABLE INITIALLY DEFERRED,
    starts_at timestamptz      NOT NULL,
    ends_at   timestamptz      NOT NULL,
    CHECK (starts_at < ends_at)
);
CREATE INDEX absence_person ON absence (person);

CREATE TABLE shift (
    id        text COLLATE "C" PRIMARY KEY,
    person    text COLLATE "C" NOT NULL REFERENCES staff DEFERRABLE INITIALLY DEFERRED,
    starts_at timestamptz      NOT NULL,
    ends_at   timestamptz      NOT NULL,
    CHECK (starts_at < ends_at)
);
CREATE INDEX shift_person ON shift (person, starts_at);
CREATE INDEX shift_ends ON shift (ends_at);

CREATE TABLE directory_version (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint  NOT NULL DEFAULT 0
);
INSERT INTO directory_version DEFAULT VALUES;
COMMENT ON TABLE directory_version IS 'One row; the version grows with every change, so that a reader knows cheaply that nothing has.';

CREATE FUNCTION directory_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE directory_version SET version = version + 1;
    RETURN NULL;
END
$$;

-- Triggers, so that a change by hand is seen as well.
CREATE TRIGGER unit_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON unit
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
CREATE TRIGGER staff_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON staff
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
CREATE TRIGGER absence_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON absence
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
CREATE TRIGGER shift_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON shift
    FOR EACH STATEMENT EXECUTE FUNCTION directory_changed();
