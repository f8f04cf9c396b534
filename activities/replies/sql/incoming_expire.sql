-- Nobody has dealt with these for 90 days: what they say goes.
UPDATE incoming_message
SET state = 'handled', content = NULL, files = NULL, outcome = 'expired', handled_at = now()
WHERE state = 'open' AND came_at < now() - interval '90 days'
RETURNING id
