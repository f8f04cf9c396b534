-- The reports of the month $1 (like 2026-03) and the kind $2, by number, each with its cause and its last measure.
-- What the reports do not say yet, and what was erased, is null.
SELECT file.number,
       coalesce((file.view ->> 'late')::boolean, false) AS late,
       coalesce(file.view -> 'facts' ->> 'category', 'unstated') AS category,
       file.unit,
       said.cause,
       said.measure
FROM case_file AS file
CROSS JOIN LATERAL (
    SELECT (array_agg(one.text ORDER BY one.seq DESC) FILTER (WHERE one.field = 'cause'))[1] AS cause,
           (array_agg(one.text ORDER BY one.seq DESC) FILTER (WHERE one.field = 'action'))[1] AS measure
    FROM (
        SELECT e.seq, asked.field,
               -- Before texts stood apart, the bodies held them.
               CASE jsonb_typeof(e.body::jsonb #> ARRAY['data', asked.field])
                   WHEN 'string' THEN e.body::jsonb #>> ARRAY['data', asked.field] ELSE t.text
               END AS text
        FROM (VALUES ('found', 'cause'), ('corrected', 'action')) AS asked (type, field)
        JOIN case_event AS e ON e.case_id = file.case_id AND e.type = asked.type
        LEFT JOIN case_text AS t ON t.case_id = e.case_id AND t.seq = e.seq AND t.field = asked.field
    ) AS one
) AS said
WHERE file.kind = $2 AND file.number LIKE $1 || '-%'
ORDER BY file.number
