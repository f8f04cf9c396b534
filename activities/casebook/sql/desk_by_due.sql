-- One page of cases, what is due first comes first. ($20, $21) is where the page before ended.
SELECT file.case_id, coalesce(file.next_due, 'infinity')::text AS place, file.view
FROM case_file AS file
WHERE {where}
  AND ($20::text IS NULL
       OR (coalesce(file.next_due, 'infinity'), file.case_id) > ($20::text::timestamptz, $21::text COLLATE "C"))
ORDER BY coalesce(file.next_due, 'infinity'), file.case_id
LIMIT $22
