-- The cases that the words $1 and the waybill $2 find, no more than $3.
SELECT case_id FROM case_search
WHERE ($1::text IS NULL OR words @@ $1::text::tsquery) AND ($2::text IS NULL OR upper(waybill) = upper($2))
LIMIT $3
