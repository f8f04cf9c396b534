-- Give the case $1 the next number of the kind $2 in the year $3 and the month $4. The row lock makes the numbers
-- gap-free: whoever comes second waits until this is committed.
WITH counted AS (
    INSERT INTO case_number AS n (kind, year, month, serial) VALUES ($2, $3, $4, 1)
    ON CONFLICT (kind, year, month) DO UPDATE SET serial = n.serial + 1
    RETURNING case_number_text(n.year, n.month, n.serial) AS number
)
INSERT INTO case_number_given (kind, number, case_id) SELECT $2, number, $1 FROM counted
RETURNING number
