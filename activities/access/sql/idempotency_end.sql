-- Keep the answer to a write; the first one stays.
UPDATE door_answer SET status = $3, body = $4 WHERE caller = $1 AND key = $2 AND status IS NULL
