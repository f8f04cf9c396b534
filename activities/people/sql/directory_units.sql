SELECT id, name, parent FROM unit ORDER BY id
