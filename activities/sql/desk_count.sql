-- How many cases there are, all together (all three null) and by status, kind and rung.
SELECT file.status, file.kind, file.rung, GROUPING(file.status, file.kind, file.rung) AS missing, count(*) AS cases
FROM case_file AS file
LEFT JOIN case_search AS word ON word.case_id = file.case_id
WHERE {where}
GROUP BY GROUPING SETS ((), (file.status), (file.kind), (file.rung))
ORDER BY 1, 2, 3
