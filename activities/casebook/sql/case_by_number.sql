-- The views of the cases of that number: each kind counts by itself, so there can be one of each.
SELECT view FROM case_file WHERE number = $1 AND ($2::text IS NULL OR kind = $2) ORDER BY kind
