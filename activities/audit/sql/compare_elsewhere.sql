-- Which of the events ($1 case ids, $2 seqs) the ledger has.
SELECT e.case_id, e.seq, e.hash
FROM unnest($1::text[], $2::int[]) AS w(case_id, seq)
JOIN case_event AS e ON e.case_id = w.case_id AND e.seq = w.seq
