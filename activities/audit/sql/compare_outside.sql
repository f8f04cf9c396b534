-- Events where none can be: at or before ($1, $2), of a transaction that has not begun, and nowhere.
SELECT coalesce(case_id, '') AS case_id, coalesce(seq, 0) AS seq FROM case_event WHERE (tx, position) <= ($1::bigint, $2::bigint)
UNION
SELECT coalesce(case_id, '') AS case_id, coalesce(seq, 0) AS seq FROM case_event WHERE tx IS NULL OR position IS NULL
UNION
SELECT coalesce(case_id, '') AS case_id, coalesce(seq, 0) AS seq FROM case_event WHERE tx >= case_event_tx(pg_snapshot_xmax(pg_current_snapshot()))
ORDER BY case_id, seq
