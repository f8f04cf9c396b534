-- Whom the tokens of payees stand for, of all cases or of the case $1.
SELECT token, case_id, details, salt, erased_at FROM payee WHERE $1::text IS NULL OR case_id = $1 ORDER BY case_id, added_at, token
