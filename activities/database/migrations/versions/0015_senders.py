"""What senders proved of what they sent."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the table."""
    execute_file("0015_senders.sql")
