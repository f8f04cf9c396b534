-- The reports of the month $1 (like 2026-03) and the kind $2, by number, each with its cause and its last measure.
-- What the reports do not say yet is null.
SELECT file.number,
       coalesce((file.view ->> 'late')::boolean, false) AS late,
       coalesce(file.view -> 'facts' ->> 'category', 'unstated') AS category,
       file.unit,
       file.view ->> 'found' AS cause,
       corrected.body ->> 'action' AS measure
FROM case_file AS file
LEFT JOIN LATERAL (
    SELECT event.body::jsonb -> 'data' AS body
    FROM case_event AS event
    WHERE event.case_id = file.case_id AND event.type = 'corrected'
    ORDER BY event.seq DESC
    LIMIT 1
) AS corrected ON true
WHERE file.kind = $2 AND file.number LIKE $1 || '-%'
ORDER BY file.number
