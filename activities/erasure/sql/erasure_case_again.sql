-- Something of the case $1 has come to the engine again.
UPDATE erasure_case SET gone_at = NULL WHERE case_id = $1 AND erased_at IS NOT NULL AND gone_at IS NOT NULL
