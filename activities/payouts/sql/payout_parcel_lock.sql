-- Whoever orders a payment for the parcel $1 does so alone, until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('parcel ' || upper($1), 0))
