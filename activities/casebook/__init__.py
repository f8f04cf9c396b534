"""The casebook: the ledger, the audit, searches and lists."""
