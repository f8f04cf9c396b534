-- The ledger is up to date again.
DELETE FROM casebook_recovery RETURNING true
