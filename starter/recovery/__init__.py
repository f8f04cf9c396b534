"""Bringing cases back: from the ledger into the engine, and from the engine into a ledger that was restored."""
