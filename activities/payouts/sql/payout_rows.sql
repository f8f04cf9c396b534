-- The payout book.
SELECT * FROM payout ORDER BY case_id
