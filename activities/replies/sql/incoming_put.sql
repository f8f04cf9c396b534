-- A message came in, once: $1 digest   $2 state   $3 content   $4 outcome   $5 files, or null
INSERT INTO incoming_message (digest, state, content, outcome, handled_at, files)
VALUES ($1, $2, $3, $4, CASE WHEN $2 = 'handled' THEN now() END, $5)
ON CONFLICT (digest) DO NOTHING
RETURNING id
