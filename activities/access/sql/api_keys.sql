-- All keys, revoked ones too, the oldest first.
SELECT id, name, role, scopes, units, customers, created_at, revoked_at FROM api_key ORDER BY created_at, id
