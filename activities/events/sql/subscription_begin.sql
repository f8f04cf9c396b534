-- Take an active subscription over from whoever delivered before.
UPDATE subscription SET pump = pump + 1 WHERE id = $1 AND state = 'active'
RETURNING *
