-- The cases that a text finds by what not everybody reads who sees them, with their views, the last first, at most $8.
-- They name the reader: that they may read it, the view says.
--  $1 the words, also among personal facts   $2 the words, also among texts   $3 those that find a case anyhow
--  $4 any of the words, among personal facts   $5 whether texts count too   $6 id and role of the reader
--  $7 the kinds whose personal facts only their holder reads
WITH near AS MATERIALIZED (
    -- Few, and so looked at one by one: personal facts are read while a case is active.
    SELECT case_id FROM case_file WHERE closed_at IS NULL AND (holder = ANY ($6::text[]) OR kind <> ALL ($7::text[]))
), found AS MATERIALIZED (
    SELECT case_id FROM near JOIN personal_search USING (case_id) WHERE words @@ $4::text::tsquery
    UNION
    SELECT case_id FROM case_search WHERE $5::boolean AND words @@ $2::text::tsquery AND NOT words @@ $3::text::tsquery
)
SELECT file.case_id, file.view, search.words @@ $2::text::tsquery AS told
FROM found
JOIN case_search AS search USING (case_id)
JOIN case_file AS file USING (case_id)
LEFT JOIN personal_search AS personal USING (case_id)
WHERE NOT search.words @@ $3::text::tsquery
  AND search.words || coalesce(personal.words, '') @@ $1::text::tsquery
  AND (file.holder = ANY ($6::text[])
       OR jsonb_path_exists(file.view, '$.** ? (@ == $names[*])', jsonb_build_object('names', $6::text[])))
ORDER BY file.opened_at DESC
LIMIT $8
