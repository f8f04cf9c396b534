"""The proof of the record: signed checkpoints, what was changed since one, and proofs of single cases."""
