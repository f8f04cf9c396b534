-- Forget what nobody has changed for a week.
DELETE FROM draft WHERE changed_at <= now() - interval '7 days'
