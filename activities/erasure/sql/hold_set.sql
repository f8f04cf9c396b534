-- Forbid that the case $1 is erased, for $2, by $3. No row where one stands already, or where there is no such case.
-- Locked, so that nobody erases it at this moment.
WITH found AS (SELECT case_id FROM case_file WHERE case_id = $1 FOR UPDATE)
INSERT INTO legal_hold (case_id, reference, set_by) SELECT case_id, $2, $3 FROM found
ON CONFLICT (case_id) WHERE lifted_at IS NULL DO NOTHING
RETURNING id
