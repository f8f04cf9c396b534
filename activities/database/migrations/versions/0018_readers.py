"""Who is sent free texts, and salts of the digests of requests."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the columns."""
    execute_file("0018_readers.sql")
