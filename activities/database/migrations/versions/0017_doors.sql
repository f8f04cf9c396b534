-- Doors that close when they must: sessions ended on the server, keys that reach the cases of some customers only.

CREATE TABLE ended_session (
    -- SHA-256 of what tells a session from all others.
    id         bytea       PRIMARY KEY CHECK (octet_length(id) = 32),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE ended_session IS 'Sessions of the console that were ended before they expired; kept until a day after that.';

ALTER TABLE api_key ADD COLUMN customers text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN api_key.customers IS
    'The references of the customers that a key with the role customer speaks for. Emptied when it is revoked.';

-- By which a key finds the cases of its customers. It goes with the facts when they are erased.
CREATE INDEX personal_customer_ref ON personal ((facts -> 'customer' ->> 'ref'))
    WHERE facts -> 'customer' ->> 'ref' IS NOT NULL;
