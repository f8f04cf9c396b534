-- Keep whom the token $1 of the case $2 stands for: $3, with the salt $4 of the token.
INSERT INTO payee (token, case_id, details, salt) VALUES ($1, $2, $3::jsonb, $4)
