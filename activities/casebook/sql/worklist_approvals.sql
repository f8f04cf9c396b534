-- Open approvals, what is due first comes first.
--  $1 units and $2 kinds that may be seen   $3 the roles asked   $4 who did not ask   $5 limit
--  ($6, $7, $8) is where the page before ended
SELECT file.case_id, asked.number::integer, asked.approval, clock.due, coalesce(clock.due, 'infinity')::text AS place,
       file.view
FROM case_file AS file
CROSS JOIN LATERAL jsonb_array_elements(file.view -> 'approvals') WITH ORDINALITY AS asked(approval, number)
LEFT JOIN LATERAL (
    -- The clock of the third approval of a case is approval:3.
    SELECT (each ->> 'due')::timestamptz AS due
    FROM jsonb_array_elements(file.view -> 'clocks') AS each
    WHERE each ->> 'clock' = 'approval:' || asked.number
    LIMIT 1
) AS clock ON true
WHERE file.closed_at IS NULL AND file.view @> '{"approvals": [{"state": "open"}]}'
  AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR file.kind = ANY ($2))
  AND asked.approval ->> 'state' = 'open'
  AND (asked.approval ->> 'role' = ANY ($3::text[]) OR asked.approval -> 'also' ?| $3::text[])
  AND asked.approval ->> 'requested_by' IS DISTINCT FROM $4
  AND ($6::text IS NULL
       OR (coalesce(clock.due, 'infinity'), file.case_id, asked.number)
          > ($6::text::timestamptz, $7::text COLLATE "C", $8::bigint))
ORDER BY coalesce(clock.due, 'infinity'), file.case_id, asked.number
LIMIT $5
