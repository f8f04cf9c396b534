"""API keys, answers to repeated writes, and looks at personal data."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables."""
    execute_file("0008_doors.sql")
