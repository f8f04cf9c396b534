-- The view of a case.
SELECT view FROM case_file WHERE case_id = $1
