-- The personal facts of a case; null once they are erased.
SELECT facts FROM personal WHERE case_id = $1
