-- A payout that failed is tried again by the gateway $2, for the run $3 that holds the case: under the same key, or under
-- that of a later agreement; then also one that was left to finance, who alone can have taken it back. $1 key   $4 case   $5 amount   $6 payee
UPDATE payout SET key = $1, amount = $5, payee = $6, state = 'requested', reason = '', settled_at = NULL, gateway = $2
WHERE case_id = $4 AND (state = 'failed' OR state = 'waiting' AND key <> $1)
  AND EXISTS (SELECT FROM case_file WHERE case_id = payout.case_id AND coalesce(held_by, $3) = $3 FOR SHARE)
RETURNING *
