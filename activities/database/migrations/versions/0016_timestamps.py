"""Timestamps of checkpoints by a third party."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    """Add the table."""
    execute_file("0016_timestamps.sql")
