"""What people keep at their desk: saved views and preferences; and the index by which decisions find who asked."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the two tables and the index."""
    execute_file("0022_desk.sql")
