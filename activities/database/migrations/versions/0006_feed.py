"""The order in which events are read by others, and who subscribes to them."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
    execute_file("0006_feed.sql")
