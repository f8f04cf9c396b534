-- The holds of the case $1, or every one that stands.
SELECT case_id AS "case", reference, set_by, set_at, lifted_by, lifted_at FROM legal_hold
WHERE ($1::text IS NULL AND lifted_at IS NULL) OR case_id = $1
ORDER BY id
