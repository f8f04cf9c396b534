-- Who of the people $1 is nobody of the staff.
SELECT DISTINCT person FROM unnest($1::text[]) AS asked (person)
WHERE NOT EXISTS (SELECT FROM staff WHERE id = person)
ORDER BY person
