-- Somebody settles the message $1: for a minute nobody else does. Whoever died meanwhile has it open again then.
-- Until when tells this claim from a later one.
UPDATE incoming_message SET try_at = now() + interval '1 minute'
WHERE id = $1 AND state = 'open' AND try_at <= now()
RETURNING id, came_at, outcome, case_id, content, try_at
