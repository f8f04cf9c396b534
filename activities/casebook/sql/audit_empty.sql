-- Case files without any event; of the case $1 if it is given.
SELECT f.case_id, f.head_seq, f.head_hash FROM case_file AS f
WHERE ($1::text IS NULL OR f.case_id = $1) AND NOT EXISTS (SELECT FROM case_event AS e WHERE e.case_id = f.case_id)
ORDER BY f.case_id
