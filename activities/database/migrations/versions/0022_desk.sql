-- What people keep at their desk, and whom a decision is told to.

-- Staff is imported anew as a whole, so nothing refers to it; what belongs to nobody there is shown to nobody.
CREATE TABLE saved_view (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person  text COLLATE "C" NOT NULL,
    name    text             NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    page    text             NOT NULL CHECK (page IN ('now', 'find')),
    query   text             NOT NULL CHECK (length(query) <= 2000),
    -- Whose people see it too, while its owner belongs to it.
    unit    text COLLATE "C",
    made_at timestamptz      NOT NULL DEFAULT now()
);
COMMENT ON TABLE saved_view IS 'Filters and orders of Now and Find under a name. None holds words that were searched for.';
CREATE INDEX saved_view_person ON saved_view (person);
CREATE INDEX saved_view_unit ON saved_view (unit) WHERE unit IS NOT NULL;

CREATE TABLE preference (
    person   text COLLATE "C" PRIMARY KEY,
    now_sort text             NOT NULL DEFAULT 'due',
    notify   boolean          NOT NULL DEFAULT false,
    sound    boolean          NOT NULL DEFAULT false,
    -- Decisions up to here were seen.
    seen_at  timestamptz
);
COMMENT ON TABLE preference IS 'How a member of the staff wants the Now page.';

-- Who asked for an approval: the actor, or in whose name the case asks.
CREATE INDEX case_event_asked ON case_event (
    (coalesce(body::jsonb -> 'data' -> 'asked_by' ->> 'id', body::jsonb -> 'actor' ->> 'id')), at)
    WHERE type = 'approval_requested';
