-- The place $1 has the checkpoint $2.
INSERT INTO checkpoint_place (place, number) VALUES ($1, $2)
ON CONFLICT (place) DO UPDATE SET number = excluded.number, at = now()
