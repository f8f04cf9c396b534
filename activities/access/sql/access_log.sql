-- Who looked at the personal facts of a case, or found it by a number, the last first.
SELECT caller, role, masked, by_phone, at FROM personal_look WHERE case_id = $1 ORDER BY id DESC LIMIT 1000
