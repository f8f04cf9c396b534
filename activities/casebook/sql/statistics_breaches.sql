-- Breached clocks by unit since $3; a numbered clock (promise:2) counts under its base name.
--  $1 units and $2 kinds that may be seen
SELECT split_part(event.body::jsonb -> 'data' ->> 'clock', ':', 1) AS clock, file.unit, count(*) AS breaches
FROM case_event AS event
JOIN case_file AS file ON file.case_id = event.case_id
WHERE event.type = 'clock_breached' AND event.at >= $3
  AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR file.kind = ANY ($2))
GROUP BY 1, 2
ORDER BY 1, 2
