-- The embedded gateway pays; no row when it has paid under this key before.
-- It takes its number beside others that pay, and not while the counter is raised (activities/casebook/sql/record.sql).
-- $1 key   $2 case   $3 amount   $4 now   $5 payee
INSERT INTO payout_booking (key, case_id, amount, booked_at, payee)
SELECT $1, $2, $3, $4, $5 FROM (SELECT pg_advisory_xact_lock_shared(27424450402154854) OFFSET 0) AS turn
ON CONFLICT (key) DO NOTHING
