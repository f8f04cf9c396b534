-- The events $2 of the cases $1, pair by pair, with their texts.
SELECT e.case_id, e.seq, e.body,
       (SELECT jsonb_object_agg(t.field, t.text) FROM case_text AS t
        WHERE t.case_id = e.case_id AND t.seq = e.seq AND t.text IS NOT NULL) AS texts
FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::integer[]) AS one (case_id, seq)) AS one
JOIN case_event AS e USING (case_id, seq)
