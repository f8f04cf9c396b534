-- One page of cases, the newest comes first. ($20, $21) is where the page before ended.
SELECT file.case_id, file.opened_at::text AS place, file.view
FROM case_file AS file
WHERE {where}
  AND ($20::text IS NULL OR (file.opened_at, file.case_id) < ($20::text::timestamptz, $21::text COLLATE "C"))
ORDER BY file.opened_at DESC, file.case_id DESC
LIMIT $22
