"""Timestamps of checkpoints by a third party, and a chain of looks that no session leads astray."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the table, and bind the function."""
    execute_file("0016_audit.sql")
