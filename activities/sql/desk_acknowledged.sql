-- How long rungs take to acknowledge what reached them since $3, and how often a case climbed on because nobody did.
--  $1 units and $2 kinds that may be seen
WITH step AS (
    SELECT event.case_id, event.seq, event.type, event.at, event.body::jsonb -> 'data' AS data,
           event.body::jsonb -> 'actor' ->> 'id' AS actor
    FROM case_event AS event
    JOIN case_file AS file ON file.case_id = event.case_id
    WHERE event.type IN ('case_opened', 'escalated', 'assigned', 'acknowledged') AND event.at >= $3
      AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
      AND ($2::text[] IS NULL OR file.kind = ANY ($2))
), waited AS (
    SELECT type,
           CASE type
               WHEN 'case_opened' THEN data ->> 'holder_role'
               WHEN 'escalated' THEN data ->> 'to'
               ELSE data -> 'to' ->> 'role'
           END AS rung,
           -- An exception report is opened when the matter became known; people can take it up once it is filed.
           coalesce((data ->> 'reported_at')::timestamptz, at) AS reached,
           lead(type) OVER following AS next, lead(at) OVER following AS next_at,
           lead(data ->> 'cause') OVER following AS cause
    FROM step
    -- Whoever takes a case for themselves acknowledges it; it did not reach anybody.
    WHERE NOT (type = 'assigned' AND data -> 'to' ->> 'id' = actor)
    WINDOW following AS (PARTITION BY case_id ORDER BY seq)
)
SELECT rung,
       count(*) FILTER (WHERE next = 'acknowledged') AS acknowledged,
       count(*) FILTER (WHERE cause = 'unacknowledged') AS missed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM next_at - reached)::float8)
           FILTER (WHERE next = 'acknowledged') AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM next_at - reached)::float8)
           FILTER (WHERE next = 'acknowledged') AS p90
FROM waited
WHERE type <> 'acknowledged' AND (next = 'acknowledged' OR cause = 'unacknowledged')
GROUP BY rung
ORDER BY rung
