-- Events of the settled part of the feed, from ($1, $2) on, at most $3 of them; the first one of a case with its number.
SELECT e.tx, e.position, e.case_id, e.seq, e.body, e.prev_hash, e.hash,
       case_number_signed(f.number, f.numbered_later) AS number,
       h.seq AS head_seq, h.hash AS head_hash
FROM (
    SELECT tx, position, case_id, seq, body, prev_hash, hash
    FROM case_event
    WHERE (tx, position) > ($1::bigint, $2::bigint)
      AND tx < case_event_tx(pg_snapshot_xmin(pg_current_snapshot()))
    ORDER BY tx, position
    LIMIT $3
) AS e
LEFT JOIN case_file AS f ON f.case_id = e.case_id
LEFT JOIN checkpoint_head AS h ON h.case_id = e.case_id
ORDER BY e.tx, e.position
