-- The events of a case, in order, with their texts.
SELECT e.body,
       (SELECT jsonb_object_agg(t.field, t.text) FROM case_text AS t
        WHERE t.case_id = e.case_id AND t.seq = e.seq AND t.text IS NOT NULL) AS texts
FROM case_event AS e
WHERE e.case_id = $1
ORDER BY e.seq
