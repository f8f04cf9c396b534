-- Erase the personal facts of a case, and what recognizes its intake. A second time changes nothing.
UPDATE personal SET facts = NULL, salt = NULL, intake_salt = NULL, intake_digest = NULL, erased_at = now()
WHERE case_id = $1 AND erased_at IS NULL
RETURNING true
