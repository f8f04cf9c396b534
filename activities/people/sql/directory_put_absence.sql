INSERT INTO absence (person, starts_at, ends_at)
SELECT person, starts_at, ends_at
FROM jsonb_to_recordset($1::jsonb) AS given (person text, starts_at timestamptz, ends_at timestamptz)
