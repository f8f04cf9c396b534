DELETE FROM shift WHERE id = ANY($1::text[])
