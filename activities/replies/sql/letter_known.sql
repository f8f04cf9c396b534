-- Whether the customer of the case $1 is reached there; null where that is not on file. $2 and $3 as for letters_numbered
SELECT CASE WHEN $2::text = 'phone' THEN p.phone_hash = phone_hash($3::text)
            ELSE lower(p.facts -> 'customer' ->> $2::text) = $3 END
FROM personal AS p
WHERE p.case_id = $1
