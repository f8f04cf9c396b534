-- Change a subscription from outside: to the state $2, and back to ($3, $4) where they are given.
UPDATE subscription
SET state = $2,
    secret = CASE WHEN $2 = 'removed' THEN NULL ELSE secret END,
    tx = coalesce($3, tx),
    position = coalesce($4, position),
    pump = pump + 1,
    failing_since = NULL,
    last_error = ''
WHERE id = $1 AND state <> 'removed'
RETURNING *
