-- A key that is not revoked.
SELECT id, name, hash, role, scopes, units, customers FROM api_key WHERE id = $1 AND revoked_at IS NULL
