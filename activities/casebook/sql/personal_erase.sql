-- Erase the personal facts of a case, what recognizes its intake, and whose account its payees were. A second time changes
-- nothing.
WITH facts AS (
    UPDATE personal SET facts = NULL, salt = NULL, intake_salt = NULL, intake_digest = NULL, erased_at = now()
    WHERE case_id = $1 AND erased_at IS NULL
    RETURNING 1
), accounts AS (
    UPDATE payee SET details = NULL, salt = NULL, erased_at = now() WHERE case_id = $1 AND erased_at IS NULL
    RETURNING 1
)
SELECT EXISTS (SELECT FROM facts UNION ALL SELECT FROM accounts)
