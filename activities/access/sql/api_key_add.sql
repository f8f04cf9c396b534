-- Store a key; no row when the name was given before.
INSERT INTO api_key (id, name, hash, role, scopes, units, customers)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name) DO NOTHING
RETURNING id
