-- Whom the token $1 of the case $2 stands for.
SELECT token, case_id, details, salt, erased_at FROM payee WHERE token = $1 AND case_id = $2
