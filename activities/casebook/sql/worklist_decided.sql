-- What others decided lately of what a person asked for, and how the forms that they filed stand, the latest first.
--  $1 units and $2 kinds that may be seen   $3 the person   $4 since when   $5 limit   $6 the kinds that are no forms
SELECT decision.type, decision.at, decision.body::jsonb -> 'actor' AS actor, decision.body::jsonb -> 'data' AS data,
       file.view
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
  -- What a form asks for is a step of it.
  AND file.kind = ANY ($6::text[])
  -- Nobody waits longer for a decision; and what was not touched since was not decided since.
  AND asked.at > $4::timestamptz - interval '90 days' AND file.updated_at > $4
  AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR file.kind = ANY ($2))
  AND decision.at > $4 AND decision.body::jsonb -> 'actor' ->> 'id' <> $3
UNION ALL
-- Whoever filed a form sees it wherever it is. It is told once, by what was done last.
SELECT decision.type, decision.at, decision.body::jsonb -> 'actor', decision.body::jsonb -> 'data', file.view
FROM case_file AS file
CROSS JOIN LATERAL (
    SELECT event.type, event.at, event.body
    FROM case_event AS event
    WHERE event.case_id = file.case_id AND event.at > $4
      AND event.type IN ('signed', 'sent_back', 'approved', 'rejected', 'form_refused', 'form_completed')
    ORDER BY event.seq DESC
    LIMIT 1
) AS decision
WHERE file.view -> 'facts' -> 'filed_by' ->> 'id' = $3 AND NOT file.kind = ANY ($6)
  AND file.opened_at > $4 - interval '90 days' AND file.updated_at > $4
  AND decision.body::jsonb -> 'actor' ->> 'id' <> $3
ORDER BY at DESC
LIMIT $5
