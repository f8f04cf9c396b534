-- The erasure $1, or the last $2 ones before the erasure $3, the last first; each with its cases. With $4 those only
-- that nobody has decided.
SELECT e.id, e.why, e.asked_by, e.asked_role, e.asked_at, e.approved, e.decided_by, e.decided_role, e.decided_at,
       (SELECT jsonb_agg(jsonb_build_object('case', c.case_id, 'erased_at', c.erased_at, 'refused', c.refused,
                                            'gone_at', c.gone_at) ORDER BY c.case_id)
        FROM erasure_case AS c WHERE c.erasure = e.id) AS cases
FROM erasure AS e
WHERE ($1::bigint IS NULL OR e.id = $1) AND ($3::bigint IS NULL OR e.id < $3)
  AND (NOT $4::boolean OR e.approved IS NULL)
ORDER BY e.id DESC
LIMIT $2
