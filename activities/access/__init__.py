"""Who came in: API keys, idempotency, the access log."""
