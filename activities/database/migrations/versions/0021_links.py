"""Cases that somebody linked, found from either side."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Let the cases that are linked to one be found."""
    execute_file("0021_links.sql")
