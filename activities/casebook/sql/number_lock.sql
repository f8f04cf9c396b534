-- Kind, end and holder of the case $1, which nobody else changes until the transaction ends.
SELECT kind, head_seq, held_by FROM case_file WHERE case_id = $1 FOR UPDATE
