-- Events in the order of the feed, after ($1, $2) and up to ($3, $4); the first one of a case with its number. A column
-- that lost its constraint may hold nothing, which is none of what was signed.
SELECT coalesce(e.case_id, '') AS case_id, coalesce(e.seq, 0) AS seq, coalesce(e.hash, '') AS hash,
       CASE WHEN e.seq = 1 THEN case_number_signed(f.number, f.numbered_later) END AS number
FROM case_event AS e
LEFT JOIN case_file AS f ON e.seq = 1 AND f.case_id = e.case_id
WHERE (e.tx, e.position) > ($1::bigint, $2::bigint) AND (e.tx, e.position) <= ($3::bigint, $4::bigint)
ORDER BY e.tx, e.position
