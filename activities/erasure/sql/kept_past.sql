-- Cases of the policy $1 and the kind $2 that closed before $3 and are not erased, after the case $4, at most $5.
SELECT case_id, closed_at FROM case_file
WHERE policy = $1 AND kind = $2 AND closed_at < $3 AND case_id > $4 AND view ->> 'erased_at' IS NULL
  AND NOT EXISTS (SELECT FROM legal_hold AS h WHERE h.case_id = case_file.case_id AND h.lifted_at IS NULL)
ORDER BY case_id
LIMIT $5
