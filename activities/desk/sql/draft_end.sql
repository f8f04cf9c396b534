-- Forget what was typed: it was filed, or is not wanted. The row stays a while, so that no late save brings it back.
--  $1 key   $2 person   $3 kind   $4 began at
INSERT INTO draft AS d (key, person, kind, began_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO UPDATE SET typed = NULL, customer_ref = NULL, phone_hash = NULL, changed_at = now()
WHERE d.person = excluded.person
