-- Since when the ledger is behind the cases.
SELECT since FROM casebook_recovery
