-- The rows of a case that follow $2, in order.
SELECT seq, type, at, recorded_at, body, prev_hash, hash FROM case_event
WHERE case_id = $1 AND seq > $2
ORDER BY seq
