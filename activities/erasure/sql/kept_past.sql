-- Cases of the policy $1 and the kind $2 that closed before $3, after $4 and the case $5, at most $7; and whether they may
-- go: neither erased, nor held, nor kept on the day $6 by the policy that they are pinned to (views of earlier releases do
-- not say). Read in the order of the index first: what the view says PostgreSQL can only guess at.
WITH page AS MATERIALIZED (
    SELECT closed_at, case_id, view FROM case_file
    WHERE policy = $1 AND kind = $2 AND closed_at < $3 AND (closed_at, case_id) > ($4, $5)
      AND held_by IS DISTINCT FROM 'erased'
    ORDER BY closed_at, case_id
    LIMIT $7
)
SELECT closed_at, case_id,
       view ->> 'erased_at' IS NULL AND coalesce(view ->> 'keep_until', '') COLLATE "C" < $6
       AND NOT EXISTS (SELECT FROM legal_hold AS h WHERE h.case_id = page.case_id AND h.lifted_at IS NULL) AS may_go
FROM page
ORDER BY closed_at, case_id
