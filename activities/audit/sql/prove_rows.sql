-- The events of the case $1 up to $2, in order, with the texts that were not erased: field, salt and text.
SELECT e.body, coalesce((
    SELECT jsonb_agg(jsonb_build_array(t.field, encode(t.salt, 'hex'), t.text) ORDER BY t.field COLLATE "C")
    FROM case_text AS t
    WHERE t.case_id = e.case_id AND t.seq = e.seq AND t.text IS NOT NULL), '[]') AS texts
FROM case_event AS e
WHERE e.case_id = $1 AND e.seq <= $2
ORDER BY e.seq
