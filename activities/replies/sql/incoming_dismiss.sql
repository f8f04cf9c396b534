-- Somebody, $2, says that nothing follows from the message $1, and why ($3).
UPDATE incoming_message
SET state = 'handled', content = NULL, files = NULL, outcome = 'dismissed', reason = $3, handled_by = $2, handled_at = now()
WHERE id = $1 AND state = 'open' AND try_at <= now()
RETURNING id
