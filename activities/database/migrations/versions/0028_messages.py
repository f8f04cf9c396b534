"""Messages that people settle: why one was dismissed, their files, and the cases of whoever wrote by mail."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the reason and the files of incoming messages, and an index of customers' mail addresses."""
    execute_file("0028_messages.sql")
