-- What is recorded of a case: number and head, and the rows $2..$3 where they exist.
SELECT f.number, f.head_seq, f.head_hash, e.seq, e.body
FROM case_file AS f
LEFT JOIN case_event AS e ON e.case_id = f.case_id AND e.seq BETWEEN $2 AND $3
WHERE f.case_id = $1
ORDER BY e.seq
