-- Drafts of filings, cases by the phone of a customer, and looks at personal facts that hold for a sitting.

-- A number as it is compared: ASCII digits without the country code of China and without zeros that are only dialled.
CREATE FUNCTION phone_digits(phone text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN ltrim(regexp_replace(
        ltrim(regexp_replace(translate(phone, '０１２３４５６７８９', '0123456789'), '[^0-9]', '', 'g'), '0'),
        '^86(?=[0-9]{9})', ''), '0');

-- The key of the hashes of numbers. It is made here and stays in the database: no setting fits, since each of those is
-- optional, is changed now and then, or is not known to whoever records. With another key nothing would be found again.
-- Nobody but the owner reads it, and nothing exports it.
CREATE TABLE phone_key (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- The 64 bytes that HMAC (RFC 2104) puts before a text, and before the hash of that.
    inner_pad bytea NOT NULL CHECK (length(inner_pad) = 64),
    outer_pad bytea NOT NULL CHECK (length(outer_pad) = 64)
);
COMMENT ON TABLE phone_key IS 'One row: the key of personal.phone_hash.';
DO $$
DECLARE
    -- As random as PostgreSQL makes it without extensions: 244 bits.
    key bytea := sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));
    inner_pad bytea := decode(repeat('36', 64), 'hex');
    outer_pad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    FOR place IN 0..31 LOOP
        inner_pad := set_byte(inner_pad, place, get_byte(inner_pad, place) # get_byte(key, place));
        outer_pad := set_byte(outer_pad, place, get_byte(outer_pad, place) # get_byte(key, place));
    END LOOP;
    INSERT INTO phone_key (inner_pad, outer_pad) VALUES (inner_pad, outer_pad);
END
$$;

-- Runs as the owner, so that who asks for a hash never sees the key. Its body is parsed here.
CREATE FUNCTION phone_hash(phone text) RETURNS bytea
    LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT sha256(outer_pad || sha256(inner_pad || convert_to(phone_digits(phone), 'UTF8')))
    FROM phone_key
    -- What is shorter is no number of a person, but an extension or a word.
    WHERE length(phone_digits(phone)) >= 5;
END;
REVOKE ALL ON FUNCTION phone_hash(text) FROM PUBLIC;
COMMENT ON FUNCTION phone_hash(text) IS 'HMAC-SHA256 of a number, by which cases are found; null for what is none.';

ALTER TABLE personal
    ADD COLUMN phone_hash bytea,
    ADD CHECK (phone_hash IS NULL OR facts IS NOT NULL);
COMMENT ON COLUMN personal.phone_hash IS 'phone_hash(number of the customer); null without one, and once the facts are erased.';
ALTER TABLE personal DISABLE TRIGGER personal_only_erased;
UPDATE personal SET phone_hash = phone_hash(facts -> 'customer' ->> 'phone')
WHERE facts -> 'customer' ->> 'phone' IS NOT NULL;
ALTER TABLE personal ENABLE TRIGGER personal_only_erased;
CREATE INDEX personal_phone_hash ON personal (phone_hash) WHERE phone_hash IS NOT NULL;

-- Orders of customers, by which cases about goods are found.
CREATE INDEX case_file_order_number ON case_file (upper(view -> 'facts' ->> 'order_number'))
    WHERE view -> 'facts' ->> 'order_number' IS NOT NULL;

ALTER TABLE personal_look
    ADD COLUMN sitting  bytea,
    ADD COLUMN by_phone boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN personal_look.sitting IS
    'The session of the console for which the look holds, so that it is made once; null elsewhere.';
COMMENT ON COLUMN personal_look.by_phone IS
    'Whether somebody had a number and was told that the case has it, case_id empty where none has.';
CREATE UNIQUE INDEX personal_look_sitting ON personal_look (case_id, caller, sitting, masked) WHERE sitting IS NOT NULL;

CREATE TABLE draft (
    -- The key of the case that it becomes.
    key          text COLLATE "C" PRIMARY KEY,
    person       text        NOT NULL,
    kind         text        NOT NULL,
    began_at     timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    typed        jsonb,
    customer_ref text,
    phone_hash   bytea,
    CHECK (typed IS NOT NULL OR (customer_ref IS NULL AND phone_hash IS NULL))
);
COMMENT ON TABLE draft IS 'Filings that somebody has begun. Each is gone seven days after its last change.';
COMMENT ON COLUMN draft.typed IS
    'What was typed, by field: personal data. Null once it was filed or discarded, so that no late save brings it back.';
COMMENT ON COLUMN draft.customer_ref IS 'The customer whom it names, by whom an erasure finds it; so does phone_hash.';
CREATE INDEX draft_of ON draft (person, changed_at) WHERE typed IS NOT NULL;
CREATE INDEX draft_changed ON draft (changed_at);
CREATE INDEX draft_customer ON draft (customer_ref) WHERE customer_ref IS NOT NULL;
CREATE INDEX draft_phone ON draft (phone_hash) WHERE phone_hash IS NOT NULL;
