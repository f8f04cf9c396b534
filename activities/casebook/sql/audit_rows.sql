-- Every row of the ledger, or those of the case $1, case by case and in order, each with its texts: salt and text
-- by field, null where they were erased.
SELECT e.case_id, e.seq, e.type, e.at, e.recorded_at, e.body, e.prev_hash, e.hash,
       coalesce((SELECT jsonb_object_agg(t.field, jsonb_build_array(encode(t.salt, 'hex'), t.text))
                 FROM case_text AS t WHERE t.case_id = e.case_id AND t.seq = e.seq), '{}') AS texts
FROM case_event AS e
WHERE $1::text IS NULL OR e.case_id = $1
ORDER BY e.case_id, e.seq
