-- Of some cases those that `held_after` names.
SELECT case_id
FROM case_file
WHERE case_id = ANY ($1::text[]) AND (closed_at IS NULL OR closed_at > $2)
