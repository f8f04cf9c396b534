-- The heads of all cases as the last checkpoint has them.
SELECT case_id, number, seq, hash FROM checkpoint_head ORDER BY case_id
