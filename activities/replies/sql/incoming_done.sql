-- The message $1 was dealt with: $2 outcome   $3 its case, or null   $4 its id, by which answers to it find the case, or null
WITH letter AS (
    INSERT INTO customer_message (message_id, case_id, direction)
    SELECT $4, $3, 'in' WHERE $4::text IS NOT NULL
    ON CONFLICT (message_id) DO NOTHING
)
UPDATE incoming_message
SET state = 'handled', content = NULL, outcome = $2, case_id = $3, handled_at = now()
WHERE id = $1 AND state = 'new'
