-- A message $1 of the case $2, which the event $3 had sent, was taken by a server.
INSERT INTO customer_message (message_id, case_id, direction, seq) VALUES ($1, $2, 'out', $3)
ON CONFLICT (message_id) DO NOTHING
