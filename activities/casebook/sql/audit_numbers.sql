-- The first number that was given to a case which is gone, or that a case has without having been given it.
SELECT coalesce(f.kind, n.kind) AS kind, coalesce(f.number, n.number) AS number, f.case_id
FROM (SELECT kind, case_number_text(year, month, s) AS number
      FROM case_number, generate_series(1, serial) AS s) AS n
FULL JOIN case_file AS f ON f.kind = n.kind AND f.number = n.number
WHERE f.case_id IS NULL OR n.kind IS NULL
ORDER BY kind, number
LIMIT 1
