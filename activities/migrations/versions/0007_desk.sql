-- What lists, searches and numbers read. All of it is derived from the case files and the ledger.

CREATE FUNCTION case_words(VARIADIC given text[]) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    -- Each value from each of its parts on, so that 0007 and 03-0007 find 2026-03-0007 as well. Whatever
    -- stands between two parts counts as a hyphen. Ids are ASCII; a word longer than 200 is cut.
    RETURN (
        SELECT array_to_tsvector(coalesce(array_agg(DISTINCT array_to_string(parts[first:], '-')), '{}'))
        FROM (
            SELECT string_to_array(trim('-' FROM regexp_replace(left(lower(value), 200), '[^a-z0-9]+', '-', 'g')), '-')
                AS parts
            FROM unnest(given) AS value
        ) AS split, generate_subscripts(parts, 1) AS first
        WHERE parts[first] <> ''
    );

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
    WHEN (OLD.view -> 'facts' IS DISTINCT FROM NEW.view -> 'facts'
          OR OLD.view -> 'outcome' IS DISTINCT FROM NEW.view -> 'outcome'
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

-- Few cases are active, so one small index serves every list of them.
CREATE INDEX case_file_active ON case_file ((coalesce(next_due, 'infinity'::timestamptz)), case_id)
    WHERE closed_at IS NULL;
-- What waits for a decision or a signature is a small part even of those.
CREATE INDEX case_file_approvals ON case_file (case_id)
    WHERE closed_at IS NULL AND view @> '{"approvals": [{"state": "open"}]}';
CREATE INDEX case_file_turn ON case_file (case_id) WHERE closed_at IS NULL AND view ? 'turn';
CREATE INDEX case_file_opened ON case_file (opened_at, case_id);
CREATE INDEX case_file_breached ON case_file USING gin (breached) WHERE breached <> '{}';
CREATE INDEX payout_unpaid ON payout (case_id) WHERE state <> 'paid';
-- What the numbers count over time.
CREATE INDEX case_event_counted ON case_event (type, at)
    WHERE type IN ('case_opened', 'escalated', 'assigned', 'acknowledged', 'clock_breached', 'paid');
