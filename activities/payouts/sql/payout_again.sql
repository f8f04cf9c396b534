-- A payout that failed is tried again, under the same key, by the gateway $2, for the run $3 that holds the case.
UPDATE payout SET state = 'requested', reason = '', settled_at = NULL, gateway = $2
WHERE key = $1 AND state = 'failed'
  AND EXISTS (SELECT FROM case_file WHERE case_id = payout.case_id AND coalesce(held_by, $3) = $3 FOR SHARE)
RETURNING *
