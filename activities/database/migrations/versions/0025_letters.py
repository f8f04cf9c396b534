"""The messages that went to customers and came from them, so that answers find their case."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add the table of messages."""
    execute_file("0025_letters.sql")
