-- Save a view of $1, shared with their unit if $5; no row once they have $6.
INSERT INTO saved_view (person, name, page, query, unit)
SELECT me.id, $2, $3, $4, CASE WHEN $5::boolean THEN me.unit END
FROM staff AS me
WHERE me.id = $1 AND (SELECT count(*) FROM saved_view WHERE person = $1) < $6
RETURNING id
