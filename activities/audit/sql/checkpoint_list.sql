-- All checkpoints, without the events that they add.
SELECT number, envelope, peaks FROM checkpoint ORDER BY number
