-- As search_by_due.sql, where a text finds many cases: those with a deadline, which are few, are looked at one by one;
-- the others, which only their ids put in order, are taken from the words. Evaluated one after the other.
(
    SELECT file.case_id, file.next_due::text AS place, file.view
    FROM case_file AS file
    WHERE (($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
           AND ($2::text[] IS NULL OR file.kind = ANY ($2)){own})
      AND ($3::text IS NULL
           OR (coalesce(file.next_due, 'infinity'), file.case_id) > ($3::text::timestamptz, $4::text COLLATE "C"))
      AND file.next_due IS NOT NULL AND file.closed_at IS NULL
      AND (SELECT s.words @@ {words}::tsquery OR s.case_id = ANY ({read})
           FROM case_search AS s WHERE s.case_id = file.case_id)
      AND {where}
    ORDER BY coalesce(file.next_due, 'infinity'), file.case_id
    LIMIT $5
)
UNION ALL
(
    SELECT file.case_id, 'infinity' AS place, file.view
    FROM (
        SELECT s.case_id FROM case_search AS s
        WHERE (s.words @@ {words}::tsquery OR s.case_id = ANY ({read}))
          AND ($3::text IS NULL OR $3::text::timestamptz < 'infinity' OR s.case_id > $4::text COLLATE "C")
        ORDER BY s.case_id
    ) AS found
    JOIN case_file AS file USING (case_id)
    WHERE (($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
           AND ($2::text[] IS NULL OR file.kind = ANY ($2)){own})
      AND (file.next_due IS NULL OR file.closed_at IS NOT NULL)
      AND {where}
    ORDER BY file.case_id
    LIMIT $5
)
LIMIT $5
