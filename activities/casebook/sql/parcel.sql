-- What else the casebook has about the parcel $1, beside the case $2: claims of the kinds $3 that are open, agreed or
-- paid, and inquiries of the kinds $4 with the instant at which each was recorded.
SELECT file.case_id, file.kind = ANY ($4::text[]) AS inquiry, opened.recorded_at,
       CASE WHEN file.view ->> 'paid' IS NOT NULL THEN 'paid'
            WHEN file.view ->> 'agreed' IS NOT NULL THEN 'agreed'
            WHEN file.closed_at IS NULL THEN 'open' END AS state
FROM case_search
JOIN case_file AS file USING (case_id)
JOIN case_event AS opened ON opened.case_id = file.case_id AND opened.seq = 1
WHERE upper(case_search.waybill) = upper($1) AND file.case_id <> $2
  AND (file.kind = ANY ($4::text[])
       OR file.kind = ANY ($3::text[])
          AND (file.closed_at IS NULL OR file.view ->> 'paid' IS NOT NULL OR file.view ->> 'agreed' IS NOT NULL))
ORDER BY file.case_id
LIMIT $5
