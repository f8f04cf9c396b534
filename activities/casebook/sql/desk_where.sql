-- What a filter and the caller's visibility ask of a case file ("file").
-- Spliced into the statements that list cases. A parameter that is null asks for nothing: since these
-- statements are planned for their values, such a line is gone before the plan is made.
--  $1 units and $2 kinds that may be seen ('' for a case without a unit)
    ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
AND ($2::text[] IS NULL OR file.kind = ANY ($2))
AND ($3::text IS NULL OR file.kind = $3)
AND ($4::text IS NULL OR file.status = $4)
AND ($5::boolean IS NULL OR (file.closed_at IS NULL) = $5)
AND ($6::text IS NULL OR file.rung = $6)
AND ($7::text IS NULL OR file.holder = $7)
AND ($8::text IS NULL OR file.unit = $8)
AND ($9::text IS NULL OR file.severity = $9)
AND ($10::text IS NULL OR (file.breached <> '{}' AND file.breached @> ARRAY[$10::text]))
AND ($11::boolean IS NULL OR (file.breached <> '{}') = $11)
AND ($12::timestamptz IS NULL OR file.next_due < $12)
AND ($13::text IS NULL OR file.number = $13)
AND ($14::timestamptz IS NULL OR file.opened_at >= $14)
AND ($15::timestamptz IS NULL OR file.opened_at < $15)
AND ($16::text IS NULL OR file.policy = $16)
-- What text and waybill find was looked up before (desk_words.sql): a few cases come as a list. Where there
-- are many, the order of this list meets some of them soon.
AND ($17::text[] IS NULL OR file.case_id = ANY ($17))
AND ($18::text IS NULL OR (SELECT word.words @@ $18::text::tsquery FROM case_search AS word WHERE word.case_id = file.case_id))
AND ($19::text IS NULL OR (SELECT word.waybill = $19 FROM case_search AS word WHERE word.case_id = file.case_id))
