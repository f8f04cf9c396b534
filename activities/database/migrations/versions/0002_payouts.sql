-- Our own book of payouts, and the book of the gateway that comes with caseladder. Amounts in yuan.

CREATE TABLE payout (
    key          text COLLATE "C" PRIMARY KEY,
    -- A case is paid once, so it has one row, however often the payment was tried.
    case_id      text COLLATE "C" NOT NULL UNIQUE,
    amount       numeric(18, 2)   NOT NULL CHECK (amount > 0),
    state        text             NOT NULL CHECK (state IN ('requested', 'waiting', 'failed', 'paid')),
    reference    text             NOT NULL DEFAULT '',
    reason       text             NOT NULL DEFAULT '',
    requested_at timestamptz      NOT NULL,
    settled_at   timestamptz,
    gateway      text             NOT NULL,
    CHECK ((state = 'paid') = (reference <> '')),
    CHECK ((state IN ('failed', 'paid')) = (settled_at IS NOT NULL))
);
COMMENT ON TABLE payout IS
    'Written before a gateway is called, settled afterwards. paid is final; failed may be tried again.';

CREATE TABLE payout_booking (
    number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key       text COLLATE "C" NOT NULL UNIQUE,
    case_id   text COLLATE "C" NOT NULL,
    amount    numeric(18, 2)   NOT NULL CHECK (amount > 0),
    booked_at timestamptz      NOT NULL
);
COMMENT ON TABLE payout_booking IS 'What the embedded gateway has paid; its reference is LEDGER-<number>.';

-- The reconciliation reads these events of every case.
CREATE INDEX case_event_payout ON case_event (case_id, seq) WHERE type IN ('payout_requested', 'paid');
