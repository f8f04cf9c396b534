-- The first number that was given to a case which is gone, or that a case has without having been given it.
-- Where a counter is beyond the cases that there are, a number is missing among the first ones: no more are made up.
SELECT coalesce(f.kind, n.kind) AS kind, coalesce(f.number, n.number) AS number, f.case_id
FROM (SELECT c.kind, case_number_text(c.year, c.month, s) AS number
      FROM case_number AS c
      LEFT JOIN (SELECT kind, left(number, 8) AS month, count(*) AS cases FROM case_file GROUP BY 1, 2) AS m
          ON m.kind = c.kind AND m.month = left(case_number_text(c.year, c.month, 1), 8),
      generate_series(1, least(c.serial, coalesce(m.cases, 0)::integer + 1)) AS s) AS n
FULL JOIN case_file AS f ON f.kind = n.kind AND f.number = n.number
WHERE f.case_id IS NULL OR n.kind IS NULL
ORDER BY kind, number
LIMIT 1
