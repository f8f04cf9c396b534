-- Cases that are not closed, after the id $1, at most $2 of them.
SELECT case_id FROM case_file WHERE closed_at IS NULL AND case_id > $1 ORDER BY case_id LIMIT $2
