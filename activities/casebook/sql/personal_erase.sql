-- Erase the personal facts of a case. A second time changes nothing.
UPDATE personal SET facts = NULL, erased_at = now() WHERE case_id = $1 AND erased_at IS NULL
RETURNING true
