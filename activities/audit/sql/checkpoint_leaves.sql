-- The events that the checkpoint $1 adds.
SELECT leaves FROM checkpoint WHERE number = $1
