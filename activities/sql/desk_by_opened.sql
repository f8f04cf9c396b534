-- One page of cases, the newest comes first. ($19, $20) is where the page before ended.
SELECT file.case_id, file.opened_at::text AS place, file.view
FROM case_file AS file
LEFT JOIN case_search AS word ON word.case_id = file.case_id
WHERE {where}
  AND ($19::text IS NULL OR (file.opened_at, file.case_id) < ($19::text::timestamptz, $20::text COLLATE "C"))
ORDER BY file.opened_at DESC, file.case_id DESC
LIMIT $21
