-- The cases that were assigned for this reason, by id.
SELECT DISTINCT t.case_id
FROM case_text AS t JOIN case_event AS e ON e.case_id = t.case_id AND e.seq = t.seq
WHERE t.field = 'reason' AND t.text = $1 AND e.type = 'assigned'
ORDER BY t.case_id
