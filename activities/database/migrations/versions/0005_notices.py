"""What became of each notice: every attempt and its reason."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables."""
    execute_file("0005_notices.sql")
