-- Which of these letters are known, by their ids $1.
SELECT message_id, case_id, direction, seq FROM customer_message WHERE message_id = ANY ($1::text[])
