-- Every row of the ledger, or those of the case $1, case by case and in order.
SELECT case_id, seq, type, at, recorded_at, body, prev_hash, hash FROM case_event
WHERE $1::text IS NULL OR case_id = $1
ORDER BY case_id, seq
