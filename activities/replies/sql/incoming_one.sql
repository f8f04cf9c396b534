-- The message $1: as it waits for a person, or by whom it was settled.
SELECT id, came_at, state, outcome, case_id, content, handled_by FROM incoming_message WHERE id = $1
