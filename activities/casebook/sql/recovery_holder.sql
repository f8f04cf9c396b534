-- The run that holds the case $1.
SELECT held_by FROM case_file WHERE case_id = $1
