-- Note that the ledger is behind the cases, unless that is noted already.
INSERT INTO casebook_recovery DEFAULT VALUES ON CONFLICT DO NOTHING
