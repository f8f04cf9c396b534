-- The head of every case, or of the case $1.
SELECT case_id, head_seq, head_hash FROM case_file
WHERE $1::text IS NULL OR case_id = $1
ORDER BY case_id
