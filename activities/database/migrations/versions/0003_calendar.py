"""The calendar years that were loaded since the program was made."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    execute_file("0003_calendar.sql")
