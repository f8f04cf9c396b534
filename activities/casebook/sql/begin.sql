-- What is recorded of the case $1 by another run than $2, with the mark of its intake.
SELECT f.view, p.intake_salt, p.intake_digest
FROM case_file AS f LEFT JOIN personal AS p ON p.case_id = f.case_id
WHERE f.case_id = $1 AND f.held_by IS DISTINCT FROM $2
