SELECT id, name, role, unit, language, deputies, contacts FROM staff ORDER BY id
