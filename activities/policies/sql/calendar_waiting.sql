-- The open cases with a deadline that was reckoned without this year.
SELECT case_id, policy
FROM case_file
WHERE closed_at IS NULL
  AND EXISTS (
      SELECT FROM jsonb_array_elements(view -> 'clocks') AS clock
      WHERE clock ->> 'state' IN ('running', 'paused') AND clock -> 'provisional' @> to_jsonb($1::integer)
  )
ORDER BY case_id
