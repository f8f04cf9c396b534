-- Take an active subscription over from whoever delivered before; `pump` counts the leases.
UPDATE subscription SET pump = pump + 1 WHERE id = $1 AND state = 'active'
RETURNING *
