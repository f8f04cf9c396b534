INSERT INTO checkpoint (number, envelope, peaks, leaves) VALUES ($1, $2, $3, $4)
