-- The events of some cases, case by case and in order: $1 the cases' ids.
SELECT case_id, seq, type, at, body FROM case_event
WHERE case_id = ANY ($1::text[])
ORDER BY case_id, seq
