-- Rows of cases that there are not, table by table.
SELECT 'notices' AS what, case_id FROM notification AS t
WHERE NOT EXISTS (SELECT FROM case_file AS f WHERE f.case_id = t.case_id)
UNION SELECT 'payouts', case_id FROM payout AS t
WHERE NOT EXISTS (SELECT FROM case_file AS f WHERE f.case_id = t.case_id)
UNION SELECT 'texts', case_id FROM case_text AS t
WHERE NOT EXISTS (SELECT FROM case_file AS f WHERE f.case_id = t.case_id)
UNION SELECT 'proofs of senders', case_id FROM case_proof AS t
WHERE NOT EXISTS (SELECT FROM case_file AS f WHERE f.case_id = t.case_id)
UNION SELECT 'personal facts', case_id FROM personal AS t
WHERE NOT EXISTS (SELECT FROM case_file AS f WHERE f.case_id = t.case_id)
UNION SELECT 'searched cases', case_id FROM case_search AS t
WHERE NOT EXISTS (SELECT FROM case_file AS f WHERE f.case_id = t.case_id)
UNION SELECT 'searched persons', case_id FROM personal_search AS t
WHERE NOT EXISTS (SELECT FROM case_file AS f WHERE f.case_id = t.case_id)
  AND NOT EXISTS (SELECT FROM personal AS p WHERE p.case_id = t.case_id)
ORDER BY case_id, what
