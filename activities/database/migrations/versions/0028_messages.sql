-- Messages that people settle (S0-2.3.5).

ALTER TABLE incoming_message ADD COLUMN reason text;
COMMENT ON COLUMN incoming_message.reason IS 'Why somebody dismissed it: a term out of a list, which says nothing of anybody.';
COMMENT ON COLUMN incoming_message.try_at IS
    'When a worker takes a new one; until then somebody settles an open one, and nobody else may.';

ALTER TABLE incoming_message ADD COLUMN files jsonb, ADD CHECK (files IS NULL OR state <> 'handled');
COMMENT ON COLUMN incoming_message.files IS
    'What was attached to it, name and content (Base64) of each, until it is kept with a case: gone with what it says.';

CREATE INDEX personal_customer_email ON personal (lower(facts -> 'customer' ->> 'email'))
    WHERE facts -> 'customer' ->> 'email' IS NOT NULL;
