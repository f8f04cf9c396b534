-- Note that a write begins, and answer with what is known of it: the first time, nothing but the digest and its salt.
WITH begun AS (
    INSERT INTO door_answer (caller, key, digest, salt) VALUES ($1, $2, $3, $4)
    ON CONFLICT (caller, key) DO NOTHING
    RETURNING digest, salt, status, body
)
SELECT digest, salt, status, body FROM begun
UNION ALL
SELECT digest, salt, status, body FROM door_answer WHERE caller = $1 AND key = $2
LIMIT 1
