-- Somebody, $3, puts the message $1 on the case $2: a worker does it.
UPDATE incoming_message SET state = 'new', case_id = $2, handled_by = $3, try_at = now()
WHERE id = $1 AND state = 'open' AND try_at <= now()
RETURNING id
