-- Record a look at the personal facts of a case, and give them: both or neither.
WITH look AS (
    INSERT INTO personal_look (case_id, caller, role, masked) VALUES ($1, $2, $3, $4)
)
SELECT facts, erased_at IS NOT NULL AS erased FROM personal WHERE case_id = $1
