-- The erasure $1, as it was asked for.
SELECT why, asked_by, asked_role, asked_person, approved FROM erasure WHERE id = $1
