-- What customers write back (S0-2.3.5): every message is kept once, until it is on a case or somebody has dealt with it.

ALTER TABLE customer_message ADD COLUMN seq integer;
COMMENT ON COLUMN customer_message.seq IS 'The event that had it sent; null of what came in, and of what went out before.';

CREATE TABLE incoming_message (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of its id: a repeat is known by it, and it says nothing of anybody.
    digest     bytea       NOT NULL UNIQUE,
    came_at    timestamptz NOT NULL DEFAULT now(),
    -- new: for a worker to deal with; open: for a person; handled: done, and its content gone.
    state      text        NOT NULL CHECK (state IN ('new', 'open', 'handled')),
    content    jsonb,
    -- What came of it; of an open one why nobody has dealt with it.
    outcome    text,
    -- The case that it went to; of an open one the closed case that it answers; of a new one where somebody has put it.
    case_id    text COLLATE "C",
    handled_by text,
    handled_at timestamptz,
    try_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'handled') = (content IS NULL))
);
COMMENT ON TABLE incoming_message IS
    'Messages of customers. The content is personal: it is deleted when the message was dealt with, and after 90 days.';
CREATE INDEX incoming_message_waiting ON incoming_message (try_at) WHERE state = 'new';
CREATE INDEX incoming_message_open ON incoming_message (came_at) WHERE state = 'open';
