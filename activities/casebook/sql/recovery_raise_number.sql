-- Of the kind $1 in the year $2 and the month $3 the serial $4 was given.
INSERT INTO case_number AS n (kind, year, month, serial) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, year, month) DO UPDATE SET serial = greatest(n.serial, excluded.serial)
