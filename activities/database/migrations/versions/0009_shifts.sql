-- Shift swaps that are valid (S1-1.7), and what a handover looks up.

CREATE TABLE shift_swap (
    swap         text COLLATE "C" PRIMARY KEY,
    initiator    text COLLATE "C" NOT NULL,
    counterparty text COLLATE "C" NOT NULL,
    -- Those in which the swapped shifts begin, like 2026-10, in the zone of the policy.
    months       text[]           NOT NULL,
    moves        jsonb            NOT NULL,
    signed_at    timestamptz      NOT NULL,
    CHECK (initiator <> counterparty)
);
COMMENT ON TABLE shift_swap IS 'One row a swap, written with the change of the roster; people by their ids.';
CREATE INDEX shift_swap_initiator ON shift_swap (initiator);
CREATE INDEX shift_swap_counterparty ON shift_swap (counterparty);

-- What a handover has given over is found by the reason that it gave.
CREATE INDEX case_event_assigned_for ON case_event ((body::jsonb -> 'data' ->> 'reason'))
    WHERE type = 'assigned' AND body::jsonb -> 'data' ->> 'reason' IS NOT NULL;
-- The open cases of a person, at the end of every shift.
CREATE INDEX case_file_held ON case_file (holder) WHERE closed_at IS NULL;
