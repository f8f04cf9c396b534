-- One page of the cases that a filter finds, the newest comes first.
--  $1 units and $2 kinds that may be seen, or what somebody filed themselves   ($3, $4) where the page before ended   $5 limit
SELECT file.case_id, file.opened_at::text AS place, file.view
FROM case_file AS file
WHERE (($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
       AND ($2::text[] IS NULL OR file.kind = ANY ($2)){own})
  AND ($3::text IS NULL OR (file.opened_at, file.case_id) < ($3::text::timestamptz, $4::text COLLATE "C"))
  AND {where}
ORDER BY file.opened_at DESC, file.case_id DESC
LIMIT $5
