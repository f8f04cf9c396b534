-- Events in the order of reading, from ($1, $2) on, at most $3 of them, with their texts. Only what no transaction
-- under way can still write before; `next` is the first transaction that has not begun. One row at least: without
-- an event its other columns are null.
SELECT case_event_tx(pg_snapshot_xmax(pg_current_snapshot())) AS next,
       e.tx, e.position, e.case_id, e.body, f.kind, f.unit,
       -- Where an event says the number, what is told of an event stays the same.
       CASE WHEN f.numbered_later THEN (
           SELECT n.body::jsonb -> 'data' ->> 'number' FROM case_event AS n
           WHERE n.case_id = e.case_id AND n.type = 'numbered' AND n.seq <= e.seq ORDER BY n.seq DESC LIMIT 1)
       ELSE f.number END AS number,
       f.view -> 'facts' -> 'filed_by' ->> 'id' AS filed_by,
       (SELECT p.facts -> 'customer' ->> 'ref' FROM personal AS p WHERE p.case_id = e.case_id) AS customer,
       (SELECT jsonb_object_agg(t.field, t.text) FROM case_text AS t
        WHERE t.case_id = e.case_id AND t.seq = e.seq AND t.text IS NOT NULL) AS texts
FROM (SELECT) AS once
LEFT JOIN LATERAL (
    SELECT tx, position, case_id, seq, body
    FROM case_event
    WHERE (tx, position) > ($1::bigint, $2::bigint)
      AND tx < case_event_tx(pg_snapshot_xmin(pg_current_snapshot()))
    ORDER BY tx, position
    LIMIT $3
) AS e ON true
LEFT JOIN case_file AS f ON f.case_id = e.case_id
ORDER BY e.tx, e.position
