-- Nothing of the case $1 is left elsewhere.
UPDATE erasure_case SET gone_at = now() WHERE case_id = $1 AND erased_at IS NOT NULL AND gone_at IS NULL
