INSERT INTO absence (person, starts_at, ends_at, case_id, seq)
SELECT person, starts_at, ends_at, case_id, seq
FROM jsonb_to_recordset($1::jsonb) AS given (
    person text, starts_at timestamptz, ends_at timestamptz, case_id text, seq integer)
