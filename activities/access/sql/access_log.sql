-- Who looked at the personal facts of a case, the last first.
SELECT caller, role, masked, at FROM personal_look WHERE case_id = $1 ORDER BY id DESC LIMIT 1000
