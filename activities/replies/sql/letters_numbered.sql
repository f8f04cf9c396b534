-- The cases of these numbers $1 whose customer is reached there: $2 email, phone or ref   $3 the address, in small letters
SELECT f.kind, f.case_id, f.number
FROM case_file AS f JOIN personal AS p USING (case_id)
WHERE f.number = ANY ($1::text[])
  AND CASE WHEN $2::text = 'phone' THEN p.phone_hash = phone_hash($3::text)
           ELSE lower(p.facts -> 'customer' ->> $2::text) = $3 END
