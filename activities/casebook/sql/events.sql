-- The events of a case, in order.
SELECT body FROM case_event WHERE case_id = $1 ORDER BY seq
