-- The customer of the case $1, unless erased; and whether the casebook is being recovered.
SELECT (SELECT facts -> 'customer' FROM personal WHERE case_id = $1) AS customer,
       EXISTS (SELECT FROM casebook_recovery) AS recovering
