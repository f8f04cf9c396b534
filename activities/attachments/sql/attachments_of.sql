-- The attachments of the case $1.
SELECT id, case_id, sha256, size FROM attachment WHERE case_id = $1 ORDER BY added_at, id
