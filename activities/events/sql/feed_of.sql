-- Where an event stands in the order of reading.
SELECT tx, position FROM case_event WHERE case_id = $1 AND seq = $2
