-- Nobody has dealt with these for 90 days, whether they wait for a person or for a worker: what they say goes.
UPDATE incoming_message
SET state = 'handled', content = NULL, files = NULL, outcome = 'expired', handled_at = now()
WHERE state <> 'handled' AND came_at < now() - interval '90 days'
RETURNING id
