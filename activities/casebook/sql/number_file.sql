-- Give the case $1 of the kind $2 the number that its event says: serial $5 of the year $3 and the month $4. It was given
-- to it before, unless an older casebook was restored; no other case gets it from here on.
WITH counted AS (
    INSERT INTO case_number AS n (kind, year, month, serial) VALUES ($2, $3, $4, $5)
    ON CONFLICT (kind, year, month) DO UPDATE SET serial = greatest(n.serial, excluded.serial)
), given AS (
    INSERT INTO case_number_given (kind, number, case_id) VALUES ($2, case_number_text($3, $4, $5), $1)
    ON CONFLICT DO NOTHING
)
SELECT case_file_number($1, $3, $4, $5) AS number
