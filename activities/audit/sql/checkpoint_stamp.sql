-- Keep the timestamp $2 of the checkpoint $1; a first one stays.
INSERT INTO checkpoint_timestamp (number, response) VALUES ($1, $2) ON CONFLICT (number) DO NOTHING
