-- What people type finds cases. Each case has a set of tokens; what a token is about, its first character says:
--
--   damage        the beginning of a word of an id, from any of its parts on (0007_desk.sql)
--   =factor:loss  a term: a column or a fact of the case, and its value
--   @agent-1      a person who holds the case or has done something in it
--   #0042 %8812   four characters side by side in the number, in the waybill
--   ~broken ~破 ~破损  a word, a Chinese character, two of them side by side in a text that somebody wrote
--
-- An earlier release looks for ids only, and so finds what it found. Names and displayed words are not stored: a search
-- looks up which terms and which people they mean.

CREATE TABLE search_fold (
    written text COLLATE "C" PRIMARY KEY,
    read    text NOT NULL
);
COMMENT ON TABLE search_fold IS 'How characters are read in a search: activities/casebook/folding.py.';

CREATE FUNCTION search_folded(given text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- Of ASCII alone, in every locale.
    low text := lower(normalize(given, NFKC) COLLATE "C");
    written text;
    read text;
BEGIN
    IF octet_length(low) = char_length(low) THEN
        RETURN low;
    END IF;
    SELECT string_agg(f.written, ''), string_agg(f.read, '') INTO written, read
    FROM search_fold AS f WHERE f.written = ANY (string_to_array(low, NULL));
    RETURN coalesce(translate(low, written, read), low);
END
$$;

CREATE FUNCTION search_said(given text) RETURNS text[] LANGUAGE sql STABLE AS $$
-- The tokens of a text that somebody wrote.
WITH folded AS MATERIALIZED (
    SELECT search_folded(given) AS low
), characters AS (
    SELECT c COLLATE "C" AS c, lead(c COLLATE "C") OVER (ORDER BY n) AS next
    FROM folded, string_to_table(low, NULL) WITH ORDINALITY AS t(c, n)
    WHERE octet_length(low) > char_length(low)
), han AS (
    SELECT c, next FROM characters
    WHERE c BETWEEN '぀' AND 'ヿ' OR c BETWEEN '㐀' AND U&'\9fff' OR c BETWEEN '가' AND U&'\d7a3'
       OR c BETWEEN U&'\+020000' AND U&'\+0323af' OR c IN ('々', '〇')
)
SELECT coalesce(array_agg(DISTINCT '~' || token), '{}') FROM (
    SELECT left(m[1], 40) AS token FROM folded, regexp_matches(low, '([0-9a-zß-öø-\u1fff]+)', 'g') AS m
    UNION ALL SELECT c FROM han
    UNION ALL SELECT a.c || a.next FROM han AS a
    WHERE a.next BETWEEN '぀' AND 'ヿ' OR a.next BETWEEN '㐀' AND U&'\9fff' OR a.next BETWEEN '가' AND U&'\d7a3'
       OR a.next BETWEEN U&'\+020000' AND U&'\+0323af' OR a.next IN ('々', '〇')
) AS found
$$;

CREATE FUNCTION search_parts(mark text, given text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
-- Each four letters or digits side by side, whatever stands between them.
SELECT coalesce(array_agg(DISTINCT mark || substr(plain, place, 4)), '{}')
FROM (SELECT regexp_replace(lower(left(given, 200) COLLATE "C"), '[^a-z0-9]+', '', 'g') AS plain) AS p,
     generate_series(1, length(plain) - 3) AS place
$$;

CREATE FUNCTION search_joined(a tsvector, b tsvector) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN a || b;
EXCEPTION WHEN program_limit_exceeded THEN
    -- A case of a megabyte of tokens: it is recorded all the same, and found by the first ones.
    RETURN a;
END
$$;

CREATE FUNCTION search_known(file case_file) RETURNS tsvector LANGUAGE sql STABLE AS $$
-- The tokens of what everybody reads who sees the case.
SELECT search_joined(
    case_words(
        file.case_id, file.number, file.unit, file.policy, file.view ->> 'outcome', facts -> 'shipment' ->> 'waybill',
        facts ->> 'category', facts ->> 'factor', facts ->> 'source'),
    array_to_tsvector(
        search_parts('#', coalesce(file.number, '')) || search_parts('%', coalesce(facts -> 'shipment' ->> 'waybill', ''))
        || CASE WHEN file.holder <> '' THEN ARRAY['@' || file.holder] ELSE '{}' END
        -- Whom a case is between: facts that are one of the staff.
        || ARRAY(SELECT '@' || (one ->> 'id') FROM jsonb_path_query(facts, 'lax $.* ? (exists (@.role) && @.id != "")') AS one
                 WHERE jsonb_typeof(one -> 'id') = 'string')
        || ARRAY(
            SELECT '=' || name || ':' || value
            FROM (
                VALUES ('kind', file.kind), ('status', file.status), ('rung', file.rung), ('severity', file.severity),
                       ('unit', file.unit), ('outcome', file.view ->> 'outcome')
                UNION ALL
                SELECT key, value #>> '{}' FROM jsonb_each(CASE jsonb_typeof(facts) WHEN 'object' THEN facts ELSE '{}' END)
                WHERE jsonb_typeof(value) = 'string'
                UNION ALL
                SELECT key, value #>> '{}'
                FROM jsonb_each(CASE jsonb_typeof(facts -> 'shipment') WHEN 'object' THEN facts -> 'shipment' ELSE '{}' END)
                WHERE jsonb_typeof(value) = 'string'
            ) AS t (name, value)
            -- A name that the rules have, or that of a unit.
            WHERE value <> '' AND (name = 'unit' OR value ~ '^[a-z][a-z0-9_]{0,39}$'))))
FROM (SELECT file.view -> 'facts' AS facts) AS f
WHERE file.case_id IS NOT NULL
$$;

CREATE FUNCTION search_actor(body text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
-- Who did what an event says; null for the system. Canonical JSON begins with it; it is not read as JSON, since it may
-- hold further on what PostgreSQL does not take.
SELECT CASE
    WHEN body ~ '^\{"actor":\{"id":"[^"\\]*"(,"person":[^,]*)?,"role":"system"' THEN NULL
    ELSE substring(body FROM '^\{"actor":\{"id":"([^"\\]+)"')
END
$$;

CREATE FUNCTION search_texts(of_case text) RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
-- The tokens of all that people wrote in a case, as far as it is not erased.
DECLARE
    found tsvector := '';
    written text;
BEGIN
    FOR written IN SELECT text FROM case_text WHERE case_id = of_case AND text IS NOT NULL ORDER BY seq LOOP
        found := search_joined(found, array_to_tsvector(search_said(written)));
        -- As `search_full`, which knows them as they are stored, in about a quarter of this.
        EXIT WHEN pg_column_size(found) > 200000;
    END LOOP;
    RETURN found;
END
$$;

CREATE FUNCTION search_personal(facts jsonb) RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
-- The tokens of personal facts: words, and parts of what looks like a phone.
DECLARE
    found tsvector := '';
    value text;
BEGIN
    FOR value IN SELECT v #>> '{}' FROM jsonb_path_query(facts, 'strict $.** ? (@.type() == "string")') AS v LOOP
        found := search_joined(found, array_to_tsvector(
            search_said(value) || CASE WHEN value ~ '^[-+() 0-9]{5,40}$' THEN search_parts('+', value) ELSE '{}' END));
    END LOOP;
    RETURN found;
END
$$;

-- Rows from before this release wait until `caseladder migrate` has gone through them, some at a time.
ALTER TABLE case_search ADD COLUMN complete boolean NOT NULL DEFAULT false;
ALTER TABLE case_search ALTER COLUMN complete SET DEFAULT true, ALTER COLUMN words SET DEFAULT '';
COMMENT ON COLUMN case_search.complete IS 'Whether everything that the case is found by is among its words.';
CREATE INDEX case_search_incomplete ON case_search (case_id) WHERE NOT complete;

CREATE TABLE personal_search (
    case_id text COLLATE "C" PRIMARY KEY,
    words   tsvector NOT NULL
);
COMMENT ON TABLE personal_search IS
    'What a case is found by of its personal facts: by who may read them only. It goes with them when they are erased.';
CREATE INDEX personal_search_words ON personal_search USING gin (words);

-- --- whatever writes a row makes what it is found by ------------------------------------------------

CREATE OR REPLACE FUNCTION case_file_found_by() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO case_search AS s (case_id, waybill, parent, words)
    VALUES (NEW.case_id, NEW.view -> 'facts' -> 'shipment' ->> 'waybill', NEW.view ->> 'parent', search_known(NEW))
    ON CONFLICT (case_id) DO UPDATE
    SET waybill = excluded.waybill, parent = excluded.parent,
        -- What texts and events have told of it stays.
        words = search_joined(
            excluded.words,
            array_to_tsvector(ARRAY(
                SELECT token FROM unnest(tsvector_to_array(s.words)) AS token WHERE token LIKE '~%' OR token LIKE '@%')));
    RETURN NULL;
END
$$;
DROP TRIGGER case_file_changed ON case_file;
CREATE TRIGGER case_file_changed AFTER UPDATE ON case_file
    FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.rung IS DISTINCT FROM NEW.rung
          OR OLD.holder IS DISTINCT FROM NEW.holder OR OLD.severity IS DISTINCT FROM NEW.severity
          OR OLD.closed_at IS DISTINCT FROM NEW.closed_at OR OLD.unit IS DISTINCT FROM NEW.unit
          OR OLD.policy IS DISTINCT FROM NEW.policy OR OLD.number IS DISTINCT FROM NEW.number
          OR OLD.view -> 'facts' IS DISTINCT FROM NEW.view -> 'facts'
          OR OLD.view -> 'outcome' IS DISTINCT FROM NEW.view -> 'outcome')
    EXECUTE FUNCTION case_file_found_by();

CREATE FUNCTION search_full(of_case text) RETURNS boolean LANGUAGE sql STABLE AS $$
-- Whether a case has so many words that its further texts are left out: all of them are written anew with each text.
-- It is recorded as fast as before then, and found by what was written first.
SELECT EXISTS (SELECT FROM case_search WHERE case_id = of_case AND pg_column_size(words) > 50000)
$$;

CREATE FUNCTION case_text_found_by() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO case_search AS s (case_id, words)
    SELECT case_id, array_to_tsvector(search_said(string_agg(text, E'\n')))
    FROM fresh WHERE text IS NOT NULL AND NOT search_full(case_id) GROUP BY case_id
    ON CONFLICT (case_id) DO UPDATE SET words = search_joined(s.words, excluded.words);
    RETURN NULL;
END
$$;
CREATE TRIGGER case_text_written AFTER INSERT ON case_text
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION case_text_found_by();

CREATE FUNCTION case_text_found_no_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE case_search AS s
    SET words = search_joined(
        array_to_tsvector(ARRAY(
            SELECT token FROM unnest(tsvector_to_array(s.words)) AS token WHERE token NOT LIKE '~%')),
        search_texts(s.case_id))
    WHERE case_id IN (SELECT case_id FROM fresh);
    RETURN NULL;
END
$$;
CREATE TRIGGER case_text_gone AFTER UPDATE ON case_text
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION case_text_found_no_more();

CREATE FUNCTION case_event_found_by() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO case_search AS s (case_id, words)
    SELECT case_id, array_to_tsvector(array_agg(DISTINCT '@' || search_actor(body)))
    FROM fresh WHERE search_actor(body) IS NOT NULL
    GROUP BY case_id
    ON CONFLICT (case_id) DO UPDATE SET words = search_joined(s.words, excluded.words)
    WHERE NOT tsvector_to_array(excluded.words) <@ tsvector_to_array(s.words);
    RETURN NULL;
END
$$;
CREATE TRIGGER case_event_done_by AFTER INSERT ON case_event
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION case_event_found_by();

CREATE FUNCTION personal_found_by() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.facts IS NULL THEN
        DELETE FROM personal_search WHERE case_id = NEW.case_id;
    ELSE
        INSERT INTO personal_search (case_id, words) VALUES (NEW.case_id, search_personal(NEW.facts))
        ON CONFLICT (case_id) DO UPDATE SET words = excluded.words;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER personal_written AFTER INSERT OR UPDATE ON personal
    FOR EACH ROW EXECUTE FUNCTION personal_found_by();

CREATE FUNCTION search_fill(most integer) RETURNS integer LANGUAGE plpgsql AS $$
-- Make what so many cases from before this release are found by; how many they were, 0 when none is left.
DECLARE
    batch text[] := ARRAY(SELECT case_id FROM case_search WHERE NOT complete ORDER BY case_id LIMIT most);
BEGIN
    -- Locked in the order in which an erasure does it, so that it comes before or after.
    INSERT INTO personal_search (case_id, words)
    SELECT case_id, search_personal(facts)
    FROM (SELECT case_id, facts FROM personal WHERE case_id = ANY (batch) AND facts IS NOT NULL FOR SHARE) AS p
    ON CONFLICT DO NOTHING;
    PERFORM FROM case_search WHERE case_id = ANY (batch) ORDER BY case_id FOR UPDATE;
    -- What is written from here on waits, and is added afterwards.
    UPDATE case_search AS s
    SET complete = true,
        words = search_joined(
            search_joined(
                coalesce((SELECT search_known(f) FROM case_file AS f WHERE f.case_id = s.case_id), s.words),
                array_to_tsvector(ARRAY(
                    SELECT DISTINCT '@' || search_actor(body) FROM case_event AS e
                    WHERE e.case_id = s.case_id AND search_actor(body) IS NOT NULL))),
            search_texts(s.case_id))
    WHERE case_id = ANY (batch);
    RETURN cardinality(batch);
END
$$;
