-- The messages of the case $1 before, the oldest first.
SELECT message_id FROM customer_message WHERE case_id = $1 ORDER BY at, message_id
