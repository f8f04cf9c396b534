-- Whom the tokens of payees stand for, of all cases or of the case $1; and whether the case was erased.
SELECT token, case_id, details, salt, erased_at,
       EXISTS (SELECT FROM case_file AS f WHERE f.case_id = payee.case_id AND f.view ->> 'erased_at' IS NOT NULL) AS told
FROM payee WHERE $1::text IS NULL OR case_id = $1 ORDER BY case_id, added_at, token
