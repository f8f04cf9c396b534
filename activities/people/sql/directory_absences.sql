SELECT person, starts_at, ends_at, case_id, seq FROM absence
WHERE $1::timestamptz IS NULL OR ends_at > $1
ORDER BY person, starts_at, ends_at
