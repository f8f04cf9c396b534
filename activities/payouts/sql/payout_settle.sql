-- What came of a payout. Only forward: what is paid stays so, and a refusal ends only what was under way.
-- $1 key   $2 state   $3 reference   $4 reason   $5 when, or null
UPDATE payout SET state = $2, reference = $3, reason = $4, settled_at = $5
WHERE key = $1 AND (state = 'requested' OR ($2 = 'paid' AND state <> 'paid'))
RETURNING *
