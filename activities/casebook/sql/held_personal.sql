-- The first event of the case $1, and the salt of the personal facts that it commits to.
SELECT e.body, p.salt
FROM case_event AS e
LEFT JOIN personal AS p ON p.case_id = e.case_id
WHERE e.case_id = $1 AND e.seq = 1
