-- Rename the view $2 of $1, and share it with their unit or with nobody; no row where it is not theirs.
UPDATE saved_view AS view SET name = $3, unit = CASE WHEN $4::boolean THEN me.unit END
FROM staff AS me
WHERE me.id = $1 AND view.person = me.id AND view.id = $2
RETURNING view.id
