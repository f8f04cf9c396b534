-- What was paid since $3 by month of the zone $4, in yuan.
--  $1 units and $2 kinds that may be seen
SELECT to_char(event.at AT TIME ZONE $4, 'YYYY-MM') AS month, count(*) AS payouts,
       sum((event.body::jsonb -> 'data' ->> 'amount')::numeric(18, 2)) AS amount
FROM case_event AS event
JOIN case_file AS file ON file.case_id = event.case_id
WHERE event.type = 'paid' AND event.at >= $3
  AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR file.kind = ANY ($2))
GROUP BY 1
ORDER BY 1
