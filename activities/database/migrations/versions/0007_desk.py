"""What lists, searches and numbers read."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables."""
    execute_file("0007_desk.sql")
