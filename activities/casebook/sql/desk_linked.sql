-- The cases that a case is linked with: the one it names as its parent, the claim it led to, and those that name it.
--  $1 units and $2 kinds that may be seen   $3 case id
SELECT other.view
FROM case_file AS other
WHERE other.case_id IN (
    SELECT found
    FROM case_file AS file, unnest(ARRAY[file.view ->> 'parent', file.view ->> 'claim']) AS found
    WHERE file.case_id = $3
    UNION
    SELECT child.case_id FROM case_search AS child WHERE child.parent = $3
)
  AND other.case_id <> $3
  AND ($1::text[] IS NULL OR coalesce(other.unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR other.kind = ANY ($2))
ORDER BY other.opened_at, other.case_id
LIMIT 200
