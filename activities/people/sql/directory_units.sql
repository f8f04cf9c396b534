SELECT id, parent FROM unit ORDER BY id
