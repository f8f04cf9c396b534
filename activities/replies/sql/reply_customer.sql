-- The customer of the case $1 as it was filed; null where there is none, or it was erased.
SELECT facts -> 'customer' FROM personal WHERE case_id = $1
