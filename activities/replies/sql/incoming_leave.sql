-- The message $1 waits for a person: $2 why   $3 the closed case that it answers, or null
-- Whichever case is to have it then has yet to be told what it says.
UPDATE incoming_message SET state = 'open', outcome = $2, case_id = $3, content = content - 'told', try_at = now()
WHERE id = $1 AND state = 'new'
