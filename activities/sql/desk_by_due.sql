-- One page of cases, what is due first comes first. ($19, $20) is where the page before ended.
SELECT file.case_id, coalesce(file.next_due, 'infinity')::text AS place, file.view
FROM case_file AS file
LEFT JOIN case_search AS word ON word.case_id = file.case_id
WHERE {where}
  AND ($19::text IS NULL
       OR (coalesce(file.next_due, 'infinity'), file.case_id) > ($19::text::timestamptz, $20::text COLLATE "C"))
ORDER BY coalesce(file.next_due, 'infinity'), file.case_id
LIMIT $21
