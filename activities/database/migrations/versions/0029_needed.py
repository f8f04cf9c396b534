"""Indexes of the open cases that need somebody: untaken, asking for an approval, waiting for a signature."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add the indexes."""
    execute_file("0029_needed.sql")
