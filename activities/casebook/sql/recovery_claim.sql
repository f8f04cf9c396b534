-- The run $2 holds the case $1.
UPDATE case_file SET held_by = $2 WHERE case_id = $1
