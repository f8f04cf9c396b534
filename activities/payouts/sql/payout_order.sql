-- Write down an order before it is carried out; no row when the key or the case has one already.
-- $1 key   $2 case   $3 amount   $4 now   $5 gateway
INSERT INTO payout (key, case_id, amount, state, requested_at, gateway)
VALUES ($1, $2, $3, 'requested', $4, $5)
ON CONFLICT DO NOTHING
RETURNING *
