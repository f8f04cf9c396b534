-- One page of cases, what is due first comes first. A filter that is null does not filter.
-- ($10, $11) is the place where the page before ended.
SELECT case_id, coalesce(next_due, 'infinity')::text AS due, view
FROM case_file
WHERE ($1::text IS NULL OR kind = $1)
  AND ($2::text IS NULL OR status = $2)
  AND ($3::text IS NULL OR rung = $3)
  AND ($4::text IS NULL OR holder = $4)
  AND ($5::text IS NULL OR unit = $5)
  AND ($6::text IS NULL OR severity = $6)
  AND ($7::text IS NULL OR $7 = ANY (breached))
  AND ($8::boolean IS NULL OR (closed_at IS NULL) = $8)
  AND ($9::timestamptz IS NULL OR next_due <= $9)
  AND ($10::text IS NULL
       OR (coalesce(next_due, 'infinity'), case_id) > ($10::text::timestamptz, $11::text COLLATE "C"))
ORDER BY coalesce(next_due, 'infinity'), case_id
LIMIT $12
