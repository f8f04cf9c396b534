-- Where the ledger of a case ends, and who holds the case.
SELECT number, head_seq, head_hash, held_by, view ->> 'policy_hash' AS policy FROM case_file WHERE case_id = $1
