-- What is known for sending the reply that the event $2 of the case $1 asks for.
SELECT f.kind, f.number, f.head_seq, f.held_by, e.body, p.facts -> 'customer' AS customer,
       (SELECT jsonb_object_agg(t.field, t.text) FROM case_text AS t
        WHERE t.case_id = f.case_id AND t.seq = $2 AND t.text IS NOT NULL) AS texts,
       EXISTS (SELECT FROM casebook_recovery) AS recovering
FROM case_file AS f
LEFT JOIN case_event AS e ON e.case_id = f.case_id AND e.seq = $2
LEFT JOIN personal AS p ON p.case_id = f.case_id
WHERE f.case_id = $1
