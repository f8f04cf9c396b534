-- The hashes of the looks $1.
SELECT id, hash FROM personal_look WHERE id = ANY($1::bigint[])
