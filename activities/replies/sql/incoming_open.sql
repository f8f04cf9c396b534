-- The messages that wait for a person, the oldest first.
SELECT id, came_at, outcome, case_id, content FROM incoming_message WHERE state = 'open' ORDER BY came_at, id LIMIT $1
