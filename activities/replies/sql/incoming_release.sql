-- Whoever was settling the message $1 has not.
UPDATE incoming_message SET try_at = now() WHERE id = $1 AND state = 'open'
