-- Case numbers and payment references that more than one case was given.
SELECT kind || ' number ' || number AS what, array_agg(case_id ORDER BY at, case_id) AS cases
FROM case_number_given
GROUP BY kind, number
HAVING count(*) > 1
UNION ALL
SELECT 'payment reference ' || reference, array_agg(case_id ORDER BY settled_at, case_id)
FROM payout
WHERE state = 'paid' AND gateway <> 'manual'
GROUP BY reference
HAVING count(*) > 1
ORDER BY what
