"""Names of units."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column."""
    execute_file("0010_unit_names.sql")
