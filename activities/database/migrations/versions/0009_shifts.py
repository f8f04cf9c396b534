"""Shift swaps and handovers."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables."""
    execute_file("0009_shifts.sql")
