-- What came of delivering; no row when somebody else does it by now or the subscription was changed.
-- How long it failed without a delivery getting through is how long the next try waits: so the waits double.
--
--  $1 id   $2 number of the lease   $3 and $4 what is done with   $5 whether something was delivered
--  $6 what failed, or null   $7 whether for good   $8 for how long the subscriber wants to be left alone
WITH held AS (
    SELECT id, retry_for,
           CASE WHEN $6::text IS NOT NULL THEN coalesce(failing_since, now()) END AS since
    FROM subscription
    WHERE id = $1 AND pump = $2 AND state = 'active'
    FOR UPDATE
)
UPDATE subscription AS s
SET tx = $3,
    position = $4,
    delivered_at = CASE WHEN $5::boolean THEN now() ELSE s.delivered_at END,
    failing_since = h.since,
    last_error = coalesce($6::text, ''),
    state = CASE WHEN h.since IS NOT NULL AND ($7::boolean OR now() - h.since >= h.retry_for)
                 THEN 'parked' ELSE 'active' END
FROM held AS h
WHERE s.id = h.id
RETURNING s.state, s.failing_since,
          least(greatest(now() - s.failing_since, $8::interval, '1 second'), greatest('1 hour', $8::interval),
                greatest(s.failing_since + s.retry_for - now(), '100 milliseconds')) AS wait
