-- The open cases of each rung, what is due first comes first, at most $3 a rung; and how many there are.
--  $1 units and $2 kinds that may be seen   $4 the name of the fact that a case is about, by kind
WITH counted AS (
    SELECT rung, count(*) AS cases, count(*) FILTER (WHERE breached <> '{}') AS with_breach
    FROM case_file
    WHERE closed_at IS NULL AND status = 'open'
      AND ($1::text[] IS NULL OR coalesce(unit, '') = ANY ($1))
      AND ($2::text[] IS NULL OR kind = ANY ($2))
    GROUP BY rung
)
SELECT counted.rung, counted.cases, counted.with_breach,
       file.case_id, file.kind, file.number, file.status, file.holder, file.unit, file.severity, file.opened_at,
       file.next_due, file.breached,
       (file.view ->> 'acknowledged')::boolean AS acknowledged,
       ARRAY(SELECT jsonb_array_elements_text(file.view -> 'turn')) AS turn,
       coalesce(file.view -> 'facts' ->> ($4::text::jsonb ->> file.kind), file.view ->> 'title') AS matter,
       file.view -> 'facts' -> 'shipment' ->> 'waybill' AS waybill
FROM counted
CROSS JOIN LATERAL (
    SELECT *
    FROM case_file
    WHERE closed_at IS NULL AND status = 'open' AND rung = counted.rung
      AND ($1::text[] IS NULL OR coalesce(unit, '') = ANY ($1))
      AND ($2::text[] IS NULL OR kind = ANY ($2))
    ORDER BY next_due, case_id
    LIMIT $3
) AS file
ORDER BY counted.rung, file.next_due, file.case_id
