-- What became of notices, of the case $1 or of all, the newest first, at most $2.
SELECT n.case_id, f.number, n.seq, n.id, n.notice, n.roles, n.outcome, n.channel, n.at,
       n.meant, n.attempts, n.reasons, n.remarks
FROM notification AS n
JOIN case_file AS f USING (case_id)
WHERE $1::text IS NULL OR n.case_id = $1
ORDER BY n.at DESC, n.case_id, n.seq DESC
LIMIT $2
