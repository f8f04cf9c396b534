-- The forms that a person filed, the last first, at most $2.
SELECT case_id
FROM case_file
WHERE view -> 'facts' -> 'filed_by' ->> 'id' = $1
ORDER BY opened_at DESC
LIMIT $2
