-- The people $1 are away from $2 to $3, as the event $5 of the case $4 says; who has that absence already keeps it.
INSERT INTO absence (person, starts_at, ends_at, case_id, seq)
SELECT id, $2, $3, $4, $5
FROM staff
WHERE id = ANY ($1::text[])
  AND NOT EXISTS (SELECT FROM absence AS a WHERE a.person = staff.id AND a.case_id = $4 AND a.seq = $5)
