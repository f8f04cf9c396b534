-- The reference of the customer of the case $1, null without one; no row while the case is not recorded.
SELECT personal.facts -> 'customer' ->> 'ref' AS ref
FROM case_file LEFT JOIN personal USING (case_id)
WHERE case_id = $1
