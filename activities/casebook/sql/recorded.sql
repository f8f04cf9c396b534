-- What is recorded of a case: number, head and holder, and the rows $2..$3 where they exist, with the salts of
-- their texts that were not erased.
SELECT f.number, f.head_seq, f.head_hash, f.held_by, e.seq, e.body,
       (SELECT jsonb_object_agg(t.field, encode(t.salt, 'hex')) FROM case_text AS t
        WHERE t.case_id = e.case_id AND t.seq = e.seq AND t.salt IS NOT NULL) AS salts
FROM case_file AS f
LEFT JOIN case_event AS e ON e.case_id = f.case_id AND e.seq BETWEEN $2 AND $3
WHERE f.case_id = $1
ORDER BY e.seq
