-- The run $2 holds the case $1, which $3 held; no row where another one has come meanwhile.
UPDATE case_file SET held_by = $2 WHERE case_id = $1 AND held_by IS NOT DISTINCT FROM $3
RETURNING true
