-- Note that the case $1 of the kind $2 was given the number $3, which another case has.
INSERT INTO case_number_given (kind, number, case_id) VALUES ($2, $3, $1) ON CONFLICT DO NOTHING
