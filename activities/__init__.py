"""The outside world: the casebook on PostgreSQL, notices, policies on disk.

Workflow code imports only `messages` from here; everything else does I/O.
"""
