INSERT INTO unit (id, name, parent)
SELECT id, name, parent FROM jsonb_to_recordset($1::jsonb) AS given (id text, name text, parent text)
