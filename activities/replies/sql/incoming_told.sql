-- The case $2 has what the message $1 says, with the outcome $3, and not yet its files: it is told no other case.
UPDATE incoming_message SET case_id = $2, content = content || jsonb_build_object('told', $3::text)
WHERE id = $1 AND state = 'new'
