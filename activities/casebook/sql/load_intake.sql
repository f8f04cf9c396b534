-- The mark of the intake of a case; no row once it is erased.
SELECT intake_salt AS salt, intake_digest AS digest FROM personal WHERE case_id = $1 AND intake_digest IS NOT NULL
