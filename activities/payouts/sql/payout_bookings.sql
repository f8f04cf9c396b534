-- What the embedded gateway has paid under the key $1, or everything.
SELECT number, key, case_id, amount, booked_at FROM payout_booking
WHERE $1::text IS NULL OR key = $1
ORDER BY number
