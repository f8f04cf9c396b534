-- The cases that a case is linked with: those it names, and those that name it as their parent or as linked.
--  $1 units and $2 kinds that may be seen   $3 case id   $4 the fields of its view that name a case, $5 several
SELECT other.view
FROM case_file AS other
WHERE other.case_id = ANY (ARRAY(
    SELECT file.view ->> field
    FROM case_file AS file, unnest($4::text[]) AS field
    WHERE file.case_id = $3
    UNION
    SELECT named
    FROM case_file AS file, unnest($5::text[]) AS field, jsonb_array_elements_text(file.view -> field) AS named
    WHERE file.case_id = $3
    UNION
    SELECT child.case_id FROM case_search AS child WHERE child.parent = $3
    UNION
    -- As the index has it.
    SELECT tied.case_id FROM case_file AS tied
    WHERE tied.view -> 'links' @> jsonb_build_array($3::text) AND tied.view -> 'links' <> '[]'
))
  AND other.case_id <> $3
  AND ($1::text[] IS NULL OR coalesce(other.unit, '') = ANY ($1))
  AND ($2::text[] IS NULL OR other.kind = ANY ($2))
ORDER BY other.opened_at, other.case_id
LIMIT 200
