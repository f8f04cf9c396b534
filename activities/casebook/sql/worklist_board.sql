-- The open cases of each rung, what is due first comes first, at most $3 a rung; and how many there are.
--  $1 units and $2 kinds that may be seen   $4 the name of the fact that a case is about, by kind
WITH placed AS (
    SELECT case_id, rung,
           row_number() OVER (PARTITION BY rung ORDER BY coalesce(next_due, 'infinity'), case_id) AS place,
           count(*) OVER (PARTITION BY rung) AS cases,
           count(*) FILTER (WHERE breached <> '{}') OVER (PARTITION BY rung) AS breached
    FROM case_file AS file
    WHERE closed_at IS NULL AND status = 'open'
      AND ($1::text[] IS NULL OR coalesce(unit, '') = ANY ($1))
      AND ($2::text[] IS NULL OR kind = ANY ($2))
)
SELECT placed.rung, placed.cases, placed.breached AS with_breach,
       file.case_id, file.kind, file.number, file.status, file.holder, file.unit, file.severity, file.opened_at,
       file.next_due, file.breached,
       (file.view ->> 'acknowledged')::boolean AS acknowledged,
       ARRAY(SELECT jsonb_array_elements_text(file.view -> 'turn')) AS turn,
       coalesce(file.view -> 'facts' ->> ($4::text::jsonb ->> file.kind), file.view ->> 'title') AS matter,
       file.view -> 'facts' -> 'shipment' ->> 'waybill' AS waybill
FROM placed
JOIN case_file AS file USING (case_id)
WHERE placed.place <= $3
ORDER BY placed.rung, placed.place
