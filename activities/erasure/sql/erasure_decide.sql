-- Decide the erasure $1 with $2, by $3 in the role $4 at $5; once.
UPDATE erasure SET approved = $2, decided_by = $3, decided_role = $4, decided_at = $5
WHERE id = $1 AND approved IS NULL
RETURNING id
