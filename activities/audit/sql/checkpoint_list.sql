-- All checkpoints with their timestamps, without the events that they add.
SELECT c.number, c.envelope, c.peaks, t.response AS timestamp
FROM checkpoint AS c
LEFT JOIN checkpoint_timestamp AS t ON t.number = c.number
ORDER BY c.number
