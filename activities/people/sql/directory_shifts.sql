-- All, or those that end after $1 and of each person the last before it: who had a shift once works by a roster.
SELECT id, person, starts_at, ends_at FROM shift
WHERE $1::timestamptz IS NULL OR ends_at > $1
UNION
(SELECT DISTINCT ON (person) id, person, starts_at, ends_at FROM shift
 WHERE ends_at <= $1 ORDER BY person, starts_at DESC)
ORDER BY starts_at, id
