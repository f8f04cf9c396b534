-- How long rungs take to acknowledge what reached them since $3, and how often a case climbed on because nobody did.
--  $1 units and $2 kinds that may be seen
WITH step AS (
    SELECT event.case_id, event.seq, event.type, event.at,
           CASE event.type
               WHEN 'case_opened' THEN said.data ->> 'holder_role'
               WHEN 'escalated' THEN said.data ->> 'to'
               WHEN 'assigned' THEN said.data -> 'to' ->> 'role'
           END AS rung,
           -- An exception report is opened when the matter became known; people can take it up once it is filed.
           CASE WHEN event.type = 'case_opened' THEN (said.data ->> 'reported_at')::timestamptz END AS reported_at,
           said.data ->> 'cause' = 'unacknowledged' AS missed
    FROM case_event AS event
    -- Dropped from the plan where everything may be seen.
    LEFT JOIN case_file AS file ON file.case_id = event.case_id
    CROSS JOIN LATERAL (
        -- Parsed once, for the OFFSET; what an acknowledgement says is not needed at all.
        SELECT body -> 'data' AS data, body -> 'actor' ->> 'id' AS actor
        FROM (SELECT CASE WHEN event.type <> 'acknowledged' THEN event.body::jsonb END AS body OFFSET 0) AS once
    ) AS said
    WHERE event.type IN ('case_opened', 'escalated', 'assigned', 'acknowledged') AND event.at >= $3
      AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
      AND ($2::text[] IS NULL OR file.kind = ANY ($2))
      -- Whoever takes a case for themselves acknowledges it; it did not reach anybody.
      AND (event.type <> 'assigned' OR said.data -> 'to' ->> 'id' <> said.actor)
), waited AS (
    SELECT type, rung, coalesce(reported_at, at) AS reached, lead(type) OVER following AS next,
           lead(at) OVER following AS next_at, lead(missed) OVER following AS missed
    FROM step
    WINDOW following AS (PARTITION BY case_id ORDER BY seq)
)
SELECT rung,
       count(*) FILTER (WHERE next = 'acknowledged') AS acknowledged,
       count(*) FILTER (WHERE missed) AS missed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM next_at - reached)::float8)
           FILTER (WHERE next = 'acknowledged') AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM next_at - reached)::float8)
           FILTER (WHERE next = 'acknowledged') AS p90
FROM waited
WHERE type <> 'acknowledged' AND (next = 'acknowledged' OR missed)
GROUP BY rung
ORDER BY rung
