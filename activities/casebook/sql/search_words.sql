-- The cases that the words $1 and the waybill $2 find, or those $4 that the words find besides, no more than $3.
SELECT case_id FROM case_search
WHERE ($1::text IS NULL OR words @@ $1::text::tsquery OR case_id = ANY ($4::text[]))
  AND ($2::text IS NULL OR upper(waybill) = upper($2))
LIMIT $3
