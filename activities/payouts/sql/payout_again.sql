-- A payout that failed is tried again, under the same key, by the gateway $2.
UPDATE payout SET state = 'requested', reason = '', settled_at = NULL, gateway = $2
WHERE key = $1 AND state = 'failed'
RETURNING *
