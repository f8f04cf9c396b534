-- A message came in, once: $1 digest   $2 state   $3 content   $4 outcome
INSERT INTO incoming_message (digest, state, content, outcome, handled_at)
VALUES ($1, $2, $3, $4, CASE WHEN $2 = 'handled' THEN now() END)
ON CONFLICT (digest) DO NOTHING
RETURNING id
