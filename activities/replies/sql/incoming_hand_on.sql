-- A person, $4, has put what the message $1 says on the case $2, with the outcome $3: a worker puts its files there.
--  $5 until when they have claimed it: who has claimed it since then keeps it
UPDATE incoming_message
SET state = 'new', case_id = $2, content = content || jsonb_build_object('told', $3::text), handled_by = $4, try_at = now()
WHERE id = $1 AND state = 'open' AND try_at = $5 AND files IS NOT NULL
RETURNING id
