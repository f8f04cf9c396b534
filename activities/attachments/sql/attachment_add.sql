-- Note that the content $1, of the SHA-256 $3 and $4 bytes, belongs to the case $2; once is enough.
INSERT INTO attachment (id, case_id, sha256, size) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
