"""What a case needs to go on from its ledger."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the tables and columns."""
    execute_file("0011_ledger.sql")
