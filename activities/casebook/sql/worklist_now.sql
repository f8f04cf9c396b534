-- What needs a person now, what is due first comes first; each line with the clock that it is about, and whether the
-- customer had the last word.
--  $1 units and $2 kinds that may be seen   $3 role   $4 person   $5 whether they confirm payments   $6 limit
--  $7 kinds that climb the ladder   $8 only these cases   $9 only this reason
--  $10 the order: due, oldest, unit, kind or severity   $11 severities, the worst first
--  $12 the events in which somebody speaks with the customer
WITH seen AS (
    SELECT case_id, kind, view, status, rung, holder, breached
    FROM case_file AS file
    WHERE file.closed_at IS NULL AND ($8::text[] IS NULL OR file.case_id = ANY ($8)) AND ({where})
      AND ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
      -- A form may name in a field the role whose turn it is.
      AND ($2::text[] IS NULL OR file.kind = ANY ($2)
           OR file.view @> jsonb_build_object('waits_for', jsonb_build_array(jsonb_build_object('role', $3::text))))
      -- Leave out what cannot be needed for any of the reasons below. Conditions on the view are written with @>, which
      -- the planner takes for few rows; with others it reads every closed case to join them at the end.
      AND (file.holder = $4 OR file.rung = $3 AND file.view @> '{"acknowledged": false}'
           OR file.view @> '{"approvals": [{"state": "open"}]}'
           OR file.view @> '{"waits_for": [{}]}'
           OR file.case_id = ANY (ARRAY(
               SELECT case_id FROM payout
               WHERE $5::boolean AND (state = 'failed' OR state = 'waiting' AND gateway = 'manual'))))
), needed AS (
    -- A resolved case needs its holder only while something still runs, as the call afterwards does.
    SELECT case_id, 'holder' AS why, NULL AS clock
    FROM seen
    WHERE holder = $4 AND (status = 'open' OR view @> '{"clocks": [{"state": "running"}]}')
    UNION ALL
    -- What is among the staff itself reaches a rung only when it is late.
    SELECT case_id, 'rung', 'rung'
    FROM seen
    WHERE rung = $3 AND holder <> $4 AND status = 'open' AND view @> '{"acknowledged": false}'
      AND (kind = ANY ($7::text[]) OR breached <> '{}')
    UNION ALL
    SELECT case_id, 'approval', 'approval:' || asked.number
    FROM seen, jsonb_array_elements(view -> 'approvals') WITH ORDINALITY AS asked(approval, number)
    WHERE view @> '{"approvals": [{"state": "open"}]}'
      AND approval ->> 'state' = 'open' AND approval ->> 'requested_by' <> $4
      AND (approval ->> 'role' = $3 OR approval -> 'also' ? $3)
    UNION ALL
    SELECT case_id, 'payout', 'payout'
    FROM seen
    JOIN payout USING (case_id)
    WHERE $5::boolean AND (payout.state = 'failed' OR payout.state = 'waiting' AND payout.gateway = 'manual')
    UNION ALL
    -- The case says for whom it waits: a role or a person, and in a role for none of those whom it is about.
    SELECT DISTINCT case_id, 'signature', waiting ->> 'clock'
    FROM seen, jsonb_array_elements(view -> 'waits_for') AS waiting
    WHERE view @> '{"waits_for": [{}]}'
      AND (waiting ->> 'role' = $3 OR waiting ->> 'person' = $4) AND NOT waiting -> 'except_for' ? $4
)
SELECT needed.why, coalesce(clock.due, clock.next, file.next_due) AS due, file.view, count(*) OVER () AS total,
       -- Read backwards, as far as anything was last said to the customer or by them.
       coalesce((SELECT event.type = 'customer_wrote'
                 FROM case_event AS event
                 WHERE event.case_id = file.case_id AND event.type = ANY ($12::text[])
                 ORDER BY event.seq DESC
                 LIMIT 1), false) AS wrote
FROM needed
JOIN case_file AS file USING (case_id)
CROSS JOIN LATERAL (
    SELECT max((each ->> 'due')::timestamptz) FILTER (WHERE each ->> 'clock' = needed.clock) AS due,
           min((each ->> 'due')::timestamptz) FILTER (WHERE each ->> 'state' = 'running') AS next
    FROM jsonb_array_elements(file.view -> 'clocks') AS each
) AS clock
WHERE $9::text IS NULL OR needed.why = $9
ORDER BY CASE $10::text WHEN 'unit' THEN coalesce(file.unit, '') WHEN 'kind' THEN file.kind END,
         CASE $10 WHEN 'severity' THEN array_position($11::text[], file.severity) END NULLS LAST,
         CASE $10 WHEN 'oldest' THEN file.opened_at END,
         due NULLS LAST, file.case_id, needed.why
LIMIT $6
