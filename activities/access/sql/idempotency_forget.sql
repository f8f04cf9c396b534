-- Forget answers that are older than a week.
DELETE FROM door_answer WHERE created_at < now() - interval '7 days'
