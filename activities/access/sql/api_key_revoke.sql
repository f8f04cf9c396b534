-- Revoke a key by its id or its name; no row when there is none, or it was revoked before.
UPDATE api_key SET revoked_at = now() WHERE (id = $1 OR name = $1) AND revoked_at IS NULL RETURNING id
