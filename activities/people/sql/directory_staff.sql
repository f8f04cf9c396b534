SELECT id, name, role, unit, language, deputies, contacts, person FROM staff ORDER BY id
