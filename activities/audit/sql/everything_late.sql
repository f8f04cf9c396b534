-- The first event of each case (or of the case $3) that says it was recorded before $1, was written after the first one
-- of $2 or later, and that nobody has signed. That one is looked for only where there are such events.
SELECT e.case_id, min(e.seq) AS seq
FROM case_event AS e
WHERE e.recorded_at < $1 AND ($3::text IS NULL OR e.case_id = $3)
  AND (e.tx, e.position) > (SELECT tx, position FROM case_event WHERE recorded_at >= $2 ORDER BY tx, position LIMIT 1)
  AND NOT EXISTS (SELECT FROM case_proof AS p WHERE p.case_id = e.case_id AND e.seq BETWEEN p.first AND p.seq)
GROUP BY e.case_id
ORDER BY e.case_id
