-- The messages that wait for a person, the oldest first: $1 how many, or null for all
--  $2 and $3 when the last of the page before came, and its id; or null
SELECT id, came_at, outcome, case_id, content FROM incoming_message
WHERE state = 'open' AND ($2::text IS NULL OR (came_at, id) > ($2::text::timestamptz, $3::bigint))
ORDER BY came_at, id
LIMIT $1
