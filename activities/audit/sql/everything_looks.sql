-- The log of looks, in order.
SELECT id, case_id, caller, role, masked, at, hash FROM personal_look ORDER BY id
