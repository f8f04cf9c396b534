-- Whether the settled part of the feed has events after ($1, $2).
SELECT EXISTS (
    SELECT FROM case_event
    WHERE (tx, position) > ($1::bigint, $2::bigint) AND tx < case_event_tx(pg_snapshot_xmin(pg_current_snapshot())))
