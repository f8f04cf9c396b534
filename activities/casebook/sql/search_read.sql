-- The cases that a text finds by what not everybody reads who sees them, with their views, the last first, at most $8.
-- They name the reader: that they may read it, the view says.
--  $1 the words, also among personal facts   $2 the words, also among texts   $3 those that find a case anyhow
--  $4 any of the words, among personal facts   $5 whether texts count too   $6 id and role of the reader
--  $7 the kinds whose personal facts only their holder reads
SELECT file.case_id, file.view, search.words @@ $2::text::tsquery AS told
FROM case_search AS search
JOIN case_file AS file USING (case_id)
LEFT JOIN personal_search AS personal USING (case_id)
WHERE search.case_id IN (
    SELECT case_id FROM personal_search WHERE words @@ $4::text::tsquery
    UNION
    SELECT case_id FROM case_search WHERE $5::boolean AND words @@ $2::text::tsquery
)
  AND NOT search.words @@ $3::text::tsquery
  AND search.words || coalesce(personal.words, '') @@ $1::text::tsquery
  AND ((file.closed_at IS NULL AND file.holder = ANY ($6::text[]))
       OR (($5 OR file.kind <> ALL ($7::text[]))
           AND jsonb_path_exists(file.view, '$.** ? (@ == $names[*])', jsonb_build_object('names', $6::text[]))))
ORDER BY file.opened_at DESC
LIMIT $8
