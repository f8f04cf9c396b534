-- The last event that can be read; no row in an empty ledger.
SELECT tx, position
FROM case_event
WHERE tx < case_event_tx(pg_snapshot_xmin(pg_current_snapshot()))
ORDER BY tx DESC, position DESC
LIMIT 1
