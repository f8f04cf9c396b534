-- How many payouts of the book there are in each state, and how much they come to: of those that payout_list.sql lists.
SELECT state, count(*) AS payouts, sum(amount) AS amount
FROM payout
WHERE (tstzrange($1, $2) @> requested_at OR tstzrange($1, $2) @> settled_at)
  AND ($3::text IS NULL OR state = $3)
GROUP BY state
