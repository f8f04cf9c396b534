INSERT INTO staff (id, name, role, unit, language, deputies, contacts, person)
SELECT id, name, role, unit, language, deputies, contacts, person
FROM jsonb_to_recordset($1::jsonb) AS given
    (id text, name text, role text, unit text, language text, deputies text[], contacts jsonb, person text)
