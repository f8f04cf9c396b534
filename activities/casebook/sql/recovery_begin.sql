-- Note that the ledger is behind the cases, unless that is noted already: an epoch of it ends.
WITH begun AS (
    INSERT INTO casebook_recovery DEFAULT VALUES ON CONFLICT DO NOTHING RETURNING since
)
INSERT INTO ledger_epoch (number, began_at)
SELECT (SELECT coalesce(max(number), 1) + 1 FROM ledger_epoch), since FROM begun
