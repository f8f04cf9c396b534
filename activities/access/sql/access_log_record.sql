-- Record a look at the personal facts of a case, and give them: both or neither. In a sitting it is recorded once.
--  $1 case id   $2 caller   $3 role   $4 whether masked   $5 sitting or null
WITH look AS (
    INSERT INTO personal_look (case_id, caller, role, masked, sitting)
    SELECT $1, $2, $3, $4, $5::bytea
    WHERE NOT EXISTS (
        SELECT FROM personal_look WHERE case_id = $1 AND caller = $2 AND masked = $4 AND sitting = $5::bytea
    )
    ON CONFLICT DO NOTHING
)
SELECT facts, erased_at IS NOT NULL AS erased FROM personal WHERE case_id = $1
