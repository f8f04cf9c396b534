-- What lists, searches and numbers read. All of it is derived from the case files and the ledger.

CREATE FUNCTION case_words(VARIADIC given text[]) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
-- Each value from each of its parts on, so that 0007 and 03-0007 find 2026-03-0007 as well. Whatever
-- stands between two parts counts as a hyphen. Ids are ASCII; of a longer one 200 characters count.
DECLARE
    value text;
    parts text[];
    words text[] := '{}';
BEGIN
    FOREACH value IN ARRAY given LOOP
        parts := string_to_array(trim('-' FROM regexp_replace(lower(left(value, 200)), '[^a-z0-9]+', '-', 'g')), '-');
        FOR place IN 1..coalesce(cardinality(parts), 0) LOOP
            words := words || array_to_string(parts[place:], '-');
        END LOOP;
    END LOOP;
    RETURN array_to_tsvector(words);
END
$$;

CREATE TABLE case_search (
    case_id text COLLATE "C" PRIMARY KEY,
    waybill text,
    parent  text COLLATE "C",
    words   tsvector NOT NULL
);
COMMENT ON TABLE case_search IS
    'What a case is found by. Beside case_file, since it changes once or twice in the life of a case and not with every event.';

CREATE FUNCTION case_file_found_by() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    facts jsonb := NEW.view -> 'facts';
BEGIN
    -- Only what is never personal: texts that people wrote are not among it.
    INSERT INTO case_search (case_id, waybill, parent, words)
    VALUES (
        NEW.case_id,
        facts -> 'shipment' ->> 'waybill',
        NEW.view ->> 'parent',
        case_words(
            NEW.case_id, NEW.number, NEW.unit, NEW.policy, NEW.view ->> 'outcome', facts -> 'shipment' ->> 'waybill',
            facts ->> 'category', facts ->> 'factor', facts ->> 'source')
    )
    ON CONFLICT (case_id) DO UPDATE
    SET waybill = excluded.waybill, parent = excluded.parent, words = excluded.words;
    RETURN NULL;
END
$$;

CREATE TRIGGER case_file_opened AFTER INSERT ON case_file
    FOR EACH ROW EXECUTE FUNCTION case_file_found_by();
CREATE TRIGGER case_file_changed AFTER UPDATE ON case_file
    FOR EACH ROW
    -- What a case is found by is known when it is opened; only how it ended comes later.
    WHEN (OLD.closed_at IS DISTINCT FROM NEW.closed_at OR OLD.unit IS DISTINCT FROM NEW.unit
          OR OLD.policy IS DISTINCT FROM NEW.policy)
    EXECUTE FUNCTION case_file_found_by();

INSERT INTO case_search (case_id, waybill, parent, words)
SELECT case_id, view -> 'facts' -> 'shipment' ->> 'waybill', view ->> 'parent',
       case_words(
           case_id, number, unit, policy, view ->> 'outcome', view -> 'facts' -> 'shipment' ->> 'waybill',
           view -> 'facts' ->> 'category', view -> 'facts' ->> 'factor', view -> 'facts' ->> 'source')
FROM case_file;

CREATE INDEX case_search_words ON case_search USING gin (words);
CREATE INDEX case_search_waybill ON case_search (waybill) WHERE waybill IS NOT NULL;
CREATE INDEX case_search_parent ON case_search (parent) WHERE parent IS NOT NULL;

-- No index reads the view: it changes with every step, and each step would then touch every index.
-- Few cases are active, so one small index serves every list of them; what waits for somebody is looked for
-- among those.
CREATE INDEX case_file_active ON case_file ((coalesce(next_due, 'infinity'::timestamptz)), case_id)
    WHERE closed_at IS NULL;
CREATE INDEX case_file_opened ON case_file (opened_at, case_id);
CREATE INDEX case_file_holder ON case_file (holder);
CREATE INDEX case_file_breached ON case_file USING gin (breached) WHERE breached <> '{}';
-- Counts read this and nothing else. By themselves status and rung tell too little to find a case by.
CREATE INDEX case_file_counted ON case_file (unit, kind, status, rung) INCLUDE (case_id);
DROP INDEX case_file_unit, case_file_status, case_file_rung;
CREATE INDEX payout_unpaid ON payout (case_id) WHERE state <> 'paid';
-- What the numbers count over time.
CREATE INDEX case_event_counted ON case_event (type, at)
    WHERE type IN ('case_opened', 'escalated', 'assigned', 'acknowledged', 'clock_breached', 'paid');
