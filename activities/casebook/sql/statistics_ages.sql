-- Open cases by rung and by how old they are: $4 are the seconds at which one age ends and the next begins.
--  $1 units and $2 kinds that may be seen   $3 now
SELECT rung, width_bucket(extract(epoch FROM $3::timestamptz - opened_at)::float8, $4::float8[]) AS age, count(*) AS cases
FROM case_file AS file
WHERE closed_at IS NULL AND status = 'open'
  AND ($1::text[] IS NULL OR coalesce(unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR kind = ANY ($2))
GROUP BY 1, 2
ORDER BY 1, 2
