-- Whether the events are recorded that the request $2 to the case $1 led to.
SELECT EXISTS (SELECT FROM case_request WHERE case_id = $1 AND request_id = $2)
