-- The personal facts of the case $1, if $2 has looked at them in the sitting $4, with $3 masked; no row before that.
SELECT facts, coalesce(erased_at IS NOT NULL, false) AS erased
FROM (
    SELECT case_id FROM personal_look WHERE case_id = $1 AND caller = $2 AND masked = $3 AND sitting = $4 LIMIT 1
) AS look
LEFT JOIN personal USING (case_id)
