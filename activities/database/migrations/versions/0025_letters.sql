-- The messages between customers and their cases (S0-2.3.5): by their ids answers find the case, and none goes out twice.

CREATE TABLE customer_message (
    -- The Message-ID of a mail without its brackets; of a message by the webhook its id.
    message_id text COLLATE "C" PRIMARY KEY,
    case_id    text COLLATE "C" NOT NULL,
    direction  text             NOT NULL CHECK (direction IN ('out', 'in')),
    at         timestamptz      NOT NULL DEFAULT now()
);
COMMENT ON TABLE customer_message IS
    'Messages that went out to customers, once a server had taken them, and that came in. They are erased with the case.';
CREATE INDEX customer_message_case ON customer_message (case_id, at);
