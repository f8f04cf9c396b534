-- The cases of the customer that is named $1 in their facts.
SELECT case_id FROM personal WHERE facts -> 'customer' ->> 'ref' = $1 ORDER BY case_id
