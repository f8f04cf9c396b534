-- How many cases a filter finds, by status, kind and rung.
--  $1 units and $2 kinds that may be seen, or what somebody filed themselves
SELECT file.status, file.kind, file.rung, count(*) AS cases
FROM case_file AS file
WHERE (($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
       AND ($2::text[] IS NULL OR file.kind = ANY ($2)){own})
  AND {where}
GROUP BY file.status, file.kind, file.rung
