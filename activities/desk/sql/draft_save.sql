-- Keep what somebody has typed, unless it was filed or discarded meanwhile; say whether its number or mail address is a
-- new one.
--  $1 key   $2 person   $3 kind   $4 began at   $5 typed   $6 reference of the customer   $7 number
WITH before AS (
    SELECT phone_hash, lower(typed -> 'customer.email' ->> 0) AS email FROM draft WHERE key = $1
)
INSERT INTO draft AS d (key, person, kind, began_at, typed, customer_ref, phone_hash)
VALUES ($1, $2, $3, $4, $5, $6, phone_hash($7))
ON CONFLICT (key) DO UPDATE
SET typed = excluded.typed, customer_ref = excluded.customer_ref, phone_hash = excluded.phone_hash, changed_at = now()
WHERE d.person = excluded.person AND d.kind = excluded.kind AND d.typed IS NOT NULL
RETURNING phone_hash IS NOT NULL AND phone_hash IS DISTINCT FROM (SELECT phone_hash FROM before)
          OR lower(typed -> 'customer.email' ->> 0) <> coalesce((SELECT email FROM before), '') AS new_number
