"""The messages that came in from customers, until they are on a case, and which reply a letter was."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add the table of incoming messages, and to the letters the event that had each sent."""
    execute_file("0027_incoming.sql")
