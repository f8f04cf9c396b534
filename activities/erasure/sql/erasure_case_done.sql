-- The case $2 of the erasure $1, or one that was given what it holds, was erased from the casebook at $3, or refused with
-- the code $4.
INSERT INTO erasure_case AS c (erasure, case_id, erased_at, refused) VALUES ($1, $2, $3, $4)
ON CONFLICT (erasure, case_id) DO UPDATE
SET erased_at = coalesce(c.erased_at, excluded.erased_at), refused = excluded.refused
