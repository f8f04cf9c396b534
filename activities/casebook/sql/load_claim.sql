-- From here on the run $2 holds the case.
UPDATE case_file SET held_by = $2 WHERE case_id = $1
RETURNING number, head_seq, head_hash, held_by, view ->> 'policy_hash' AS policy
