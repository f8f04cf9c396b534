-- Which other claims on the parcel $1 are paid, or may be, beside the case $2 and those in $3 that somebody has looked at;
-- none where the case has an order that did not fail. Whoever asks holds the lock of the parcel.
SELECT other.case_id, CASE WHEN other.state = 'paid' THEN 'paid' ELSE 'agreed' END AS state
FROM payout AS other
JOIN case_search USING (case_id)
WHERE upper(case_search.waybill) = upper($1) AND other.case_id <> $2 AND other.case_id <> ALL ($3::text[])
  AND other.state <> 'failed'
  AND NOT EXISTS (SELECT FROM payout WHERE case_id = $2 AND state <> 'failed')
ORDER BY other.case_id
