-- The cases that were assigned for this reason, by id.
SELECT DISTINCT case_id FROM case_event
WHERE type = 'assigned' AND body::jsonb -> 'data' ->> 'reason' = $1
ORDER BY case_id
