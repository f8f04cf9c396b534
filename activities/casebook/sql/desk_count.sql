-- How many cases there are, all together (all three null) and by status, kind and rung.
SELECT file.status, file.kind, file.rung, GROUPING(file.status, file.kind, file.rung) AS missing, count(*) AS cases
FROM case_file AS file
WHERE {where}
  -- All of them are looked at here, so one look into the words is cheaper than one a case.
  AND ($20::text IS NULL OR file.case_id IN (SELECT case_id FROM case_search WHERE words @@ $20::text::tsquery))
GROUP BY GROUPING SETS ((), (file.status), (file.kind), (file.rung))
ORDER BY 1, 2, 3
