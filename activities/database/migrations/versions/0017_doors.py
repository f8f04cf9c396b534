"""Sessions that were ended, and keys that speak for customers."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table, the column and the index."""
    execute_file("0017_doors.sql")
