"""The ladder is read from an index."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add the index."""
    execute_file("0030_board.sql")
