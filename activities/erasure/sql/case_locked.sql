-- The case $1, which nobody changes until this transaction ends.
SELECT kind, number, view, head_seq, head_hash,
       (SELECT document FROM policy WHERE hash = view ->> 'policy_hash') AS document,
       EXISTS (SELECT FROM legal_hold WHERE legal_hold.case_id = $1 AND lifted_at IS NULL) AS held,
       EXISTS (SELECT FROM casebook_recovery) AS recovering
FROM case_file WHERE case_id = $1
FOR UPDATE OF case_file
