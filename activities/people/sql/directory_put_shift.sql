INSERT INTO shift (id, person, starts_at, ends_at)
SELECT id, person, starts_at, ends_at
FROM jsonb_to_recordset($1::jsonb) AS given (id text, person text, starts_at timestamptz, ends_at timestamptz)
