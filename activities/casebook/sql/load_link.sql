-- The hash of a row.
SELECT hash FROM case_event WHERE case_id = $1 AND seq = $2
