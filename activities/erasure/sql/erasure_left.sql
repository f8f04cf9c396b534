-- What is left to be done of erasures that were approved, after the case $4 of the erasure $3, at most $1; of the
-- erasure $2 only, where it is given.
SELECT c.erasure, c.case_id, c.erased_at IS NOT NULL AS erased, e.why, e.asked_by, e.asked_role, e.asked_person,
       e.decided_by, e.decided_role
FROM erasure_case AS c JOIN erasure AS e ON e.id = c.erasure
WHERE c.gone_at IS NULL AND c.refused IS NULL AND e.approved AND ($2::bigint IS NULL OR e.id = $2)
  AND (c.erasure, c.case_id) > ($3, $4)
ORDER BY c.erasure, c.case_id
LIMIT $1
