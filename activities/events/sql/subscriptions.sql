-- Every subscription, or the one with the id $1.
SELECT * FROM subscription WHERE $1::text IS NULL OR id = $1 ORDER BY created_at, id
