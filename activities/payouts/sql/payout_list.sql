-- The payout book with the numbers of its cases, the last ordered first: what was ordered or came out from $1 until before
-- $2, in the state $3; each or null.   $4 how many at most, or null
SELECT payout.*, file.kind, file.number
FROM payout LEFT JOIN case_file AS file USING (case_id)
WHERE (tstzrange($1, $2) @> payout.requested_at OR tstzrange($1, $2) @> payout.settled_at)
  AND ($3::text IS NULL OR payout.state = $3)
ORDER BY payout.requested_at DESC, payout.key
LIMIT $4
