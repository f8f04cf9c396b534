-- The last checkpoint, the epoch that the ledger is in, which begins in no future, and the last look; one row.
SELECT c.envelope, c.peaks, c.timestamp, c.made_at > now() - $1::interval AS fresh,
       e.number AS epoch, least(e.began_at, now()) AS began_at, l.id AS look, l.hash AS look_hash
FROM (SELECT) AS once
LEFT JOIN (
    SELECT c.envelope, c.peaks, c.made_at, t.response AS timestamp
    FROM checkpoint AS c LEFT JOIN checkpoint_timestamp AS t ON t.number = c.number
    ORDER BY c.number DESC LIMIT 1) AS c ON true
LEFT JOIN (SELECT number, began_at FROM ledger_epoch ORDER BY number DESC LIMIT 1) AS e ON true
LEFT JOIN (SELECT id, hash FROM personal_look ORDER BY id DESC LIMIT 1) AS l ON true
