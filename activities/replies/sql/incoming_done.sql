-- The message $1 was dealt with: $2 outcome   $3 its case, or null   $4 its id, by which answers to it find the case, or null
--  $5 by whom, or null for whoever has put it on a case, if anybody has
--  $6 until when they have claimed it, or null for a worker: who has claimed it since then keeps it
WITH settled AS (
    UPDATE incoming_message
    SET state = 'handled', content = NULL, files = NULL, outcome = $2, case_id = $3, handled_by = coalesce($5, handled_by),
        handled_at = now()
    WHERE id = $1
      AND CASE WHEN $6::timestamptz IS NULL THEN state <> 'handled' ELSE state = 'open' AND try_at = $6 END
    RETURNING id
)
INSERT INTO customer_message (message_id, case_id, direction)
SELECT $4, $3, 'in' FROM settled WHERE $4::text IS NOT NULL
ON CONFLICT (message_id) DO NOTHING
