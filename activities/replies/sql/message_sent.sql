-- A message $1 of the case $2 was taken by a server.
INSERT INTO customer_message (message_id, case_id, direction) VALUES ($1, $2, 'out') ON CONFLICT (message_id) DO NOTHING
