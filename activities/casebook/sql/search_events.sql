-- The events of some cases, case by case and in order, with their texts: $1 the cases' ids.
SELECT e.case_id, e.body,
       (SELECT jsonb_object_agg(t.field, t.text) FROM case_text AS t
        WHERE t.case_id = e.case_id AND t.seq = e.seq AND t.text IS NOT NULL) AS texts
FROM case_event AS e
WHERE e.case_id = ANY ($1::text[])
ORDER BY e.case_id, e.seq
