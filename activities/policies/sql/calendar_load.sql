-- Years as an object by number, all of them or none; answers with those that changed something.
INSERT INTO calendar_year (year, published)
SELECT key::integer, value FROM jsonb_each($1::jsonb)
ON CONFLICT (year) DO UPDATE SET published = excluded.published, loaded_at = now()
WHERE calendar_year.published IS DISTINCT FROM excluded.published
RETURNING year
