-- Somebody, $2, says that nothing follows from the message $1.
UPDATE incoming_message
SET state = 'handled', content = NULL, outcome = 'dismissed', handled_by = $2, handled_at = now()
WHERE id = $1 AND state = 'open'
RETURNING id
