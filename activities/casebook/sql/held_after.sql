-- The cases that the engine must still have: those that are open, and those that have closed lately.
SELECT case_id
FROM case_file
WHERE case_id > $1 AND (closed_at IS NULL OR closed_at > $2)
ORDER BY case_id
LIMIT $3
