-- Cases opened since $3 by weekday (1 is Monday) and hour of the zone $4.
--  $1 units and $2 kinds that may be seen
SELECT extract(isodow FROM opened_at AT TIME ZONE $4)::integer AS weekday,
       extract(hour FROM opened_at AT TIME ZONE $4)::integer AS hour, count(*) AS cases
FROM case_file AS file
WHERE opened_at >= $3
  AND ($1::text[] IS NULL OR coalesce(unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR kind = ANY ($2))
GROUP BY 1, 2
ORDER BY 1, 2
