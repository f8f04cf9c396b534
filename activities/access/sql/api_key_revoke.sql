-- Revoke a key by its id or its name, and forget whom it spoke for; no row when there is none, or it was revoked before.
UPDATE api_key SET revoked_at = now(), customers = '{}' WHERE (id = $1 OR name = $1) AND revoked_at IS NULL RETURNING id
