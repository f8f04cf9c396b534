-- Lift the hold of the case $1, by $2.
UPDATE legal_hold SET lifted_by = $2, lifted_at = now() WHERE case_id = $1 AND lifted_at IS NULL RETURNING id
