-- The heads of all cases as the last checkpoint has them.
SELECT coalesce(h.case_id, '') AS case_id, h.number, h.seq, coalesce(h.hash, '') AS hash
FROM checkpoint_head AS h
ORDER BY h.case_id
