-- The last $2 requests of a case that were answered, in order.
SELECT request_id, salt, digest
FROM (SELECT * FROM case_request WHERE case_id = $1 ORDER BY seq DESC, request_id DESC LIMIT $2) AS last
ORDER BY seq, request_id
