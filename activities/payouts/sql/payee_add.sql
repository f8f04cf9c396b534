-- Keep whom the token $1 of the case $2 stands for: $3.
INSERT INTO payee (token, case_id, details) VALUES ($1, $2, $3::jsonb)
