-- What the ledger says about payouts. The amount stays text: whatever stands there is to be compared.
SELECT case_id, type, body::jsonb -> 'data' ->> 'amount' AS amount, body::jsonb -> 'data' ->> 'reference' AS reference
FROM case_event WHERE type IN ('payout_requested', 'paid')
ORDER BY case_id, seq
