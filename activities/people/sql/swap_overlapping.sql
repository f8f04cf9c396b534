-- The first valid swap with a shift that the person $1 gave or took, and that overlaps the time from $2 to $3.
SELECT w.swap, s.id AS shift, s.starts_at, s.ends_at
FROM shift_swap AS w
CROSS JOIN LATERAL jsonb_to_recordset(w.moves) AS m (shift text)
JOIN shift AS s ON s.id = m.shift
WHERE (w.initiator = $1 OR w.counterparty = $1) AND s.starts_at < $3 AND s.ends_at > $2
ORDER BY s.starts_at, w.swap
LIMIT 1
