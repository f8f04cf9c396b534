-- The embedded gateway pays; no row when it has paid under this key before.
-- $1 key   $2 case   $3 amount   $4 now
INSERT INTO payout_booking (key, case_id, amount, booked_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO NOTHING
