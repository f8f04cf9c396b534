"""The directory of staff: units, people, absences and the duty roster."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables."""
    execute_file("0004_people.sql")
