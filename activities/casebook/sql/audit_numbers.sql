-- The first number that was given to a case which is gone, that a case has without having been given it, or that more
-- than one case has. Where a counter is beyond the cases that there are, a number is missing among the first ones: no
-- more are made up. A number may be given to a case whose event does not say it yet.
WITH numbered AS (
    SELECT kind, number, case_id FROM case_file WHERE number IS NOT NULL OR NOT numbered_later
    UNION ALL
    SELECT g.kind, g.number, g.case_id
    FROM case_number_given AS g
    JOIN case_file AS f ON f.case_id = g.case_id AND f.numbered_later AND f.number IS NULL
    WHERE NOT EXISTS (SELECT FROM case_file AS o WHERE o.kind = g.kind AND o.number = g.number)
)
SELECT coalesce(f.kind, n.kind) AS kind, coalesce(f.number, n.number) AS number, f.case_id, false AS twice
FROM (SELECT c.kind, case_number_text(c.year, c.month, s) AS number
      FROM case_number AS c
      LEFT JOIN (SELECT kind, left(number, 8) AS month, count(*) AS cases FROM numbered GROUP BY 1, 2) AS m
          ON m.kind = c.kind AND m.month = left(case_number_text(c.year, c.month, 1), 8),
      generate_series(1, least(c.serial, coalesce(m.cases, 0)::integer + 1)) AS s) AS n
FULL JOIN numbered AS f ON f.kind = n.kind AND f.number = n.number
WHERE f.case_id IS NULL OR n.kind IS NULL
UNION ALL
SELECT kind, number, max(case_id), true FROM numbered GROUP BY kind, number HAVING count(*) > 1
ORDER BY kind, number
LIMIT 1
