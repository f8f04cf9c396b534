-- What a person asked for and somebody else decided lately, the latest decision first.
--  $1 units and $2 kinds that may be seen   $3 the person   $4 since when   $5 limit
SELECT decision.type, decision.at, decision.body::jsonb -> 'actor' AS actor, asked.body::jsonb -> 'data' AS data, file.view
FROM case_event AS asked
JOIN case_file AS file USING (case_id)
CROSS JOIN LATERAL (
    -- The first decision on what was asked for is the one on this asking.
    SELECT event.type, event.at, event.body
    FROM case_event AS event
    WHERE event.case_id = asked.case_id AND event.seq > asked.seq AND event.type IN ('approved', 'rejected')
      AND event.body::jsonb -> 'data' ->> 'subject' = asked.body::jsonb -> 'data' ->> 'subject'
    ORDER BY event.seq
    LIMIT 1
) AS decision
WHERE asked.type = 'approval_requested'
  AND coalesce(asked.body::jsonb -> 'data' -> 'asked_by' ->> 'id', asked.body::jsonb -> 'actor' ->> 'id') = $3
  -- Nobody waits longer for a decision; and what was not touched since was not decided since.
  AND asked.at > $4::timestamptz - interval '90 days' AND file.updated_at > $4
  AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR file.kind = ANY ($2))
  AND decision.at > $4 AND decision.body::jsonb -> 'actor' ->> 'id' <> $3
ORDER BY decision.at DESC, asked.case_id, asked.seq
LIMIT $5
