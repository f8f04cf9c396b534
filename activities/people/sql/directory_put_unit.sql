INSERT INTO unit (id, parent)
SELECT id, parent FROM jsonb_to_recordset($1::jsonb) AS given (id text, parent text)
