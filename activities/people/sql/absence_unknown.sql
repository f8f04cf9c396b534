-- Who of the people $1 is nobody of the staff.
SELECT DISTINCT asked.id AS person FROM unnest($1::text[]) AS asked (id)
WHERE NOT EXISTS (SELECT FROM staff WHERE staff.id = asked.id)
ORDER BY person
