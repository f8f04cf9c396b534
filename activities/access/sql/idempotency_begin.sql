-- Note that a write begins, and answer with what is known of it: the first time, nothing but the digest.
WITH begun AS (
    INSERT INTO door_answer (caller, key, digest) VALUES ($1, $2, $3)
    ON CONFLICT (caller, key) DO NOTHING
    RETURNING digest, status, body
)
SELECT digest, status, body FROM begun
UNION ALL
SELECT digest, status, body FROM door_answer WHERE caller = $1 AND key = $2
LIMIT 1
