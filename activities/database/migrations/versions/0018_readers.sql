-- Who is sent what people wrote freely: those who were so far, and of those to come who asked for it.
ALTER TABLE subscription ADD COLUMN texts boolean NOT NULL DEFAULT true;
ALTER TABLE subscription ALTER COLUMN texts SET DEFAULT false;
COMMENT ON COLUMN subscription.texts IS 'Whether events are sent with what people wrote freely.';

-- Nobody shall guess a request, which may be personal, from its digest.
ALTER TABLE door_answer ADD COLUMN salt bytea;
COMMENT ON COLUMN door_answer.digest IS
    'HMAC-SHA-256 of the digest of the request under the salt; where there is none, the digest itself, for a week.';
