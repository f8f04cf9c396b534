-- The message $1 waits for a person: $2 why   $3 the closed case that it answers, or null
UPDATE incoming_message SET state = 'open', outcome = $2, case_id = $3, try_at = now() WHERE id = $1 AND state = 'new'
