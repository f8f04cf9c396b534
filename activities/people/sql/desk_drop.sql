-- Forget the view $2 of $1; no row where it is not theirs.
DELETE FROM saved_view WHERE person = $1 AND id = $2 RETURNING id
