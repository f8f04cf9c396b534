"""The casebook: ledger, case files, numbers, personal facts, policies, notifications.

There is no way back: a downgrade would drop the ledger.
"""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    execute_file("0001_casebook.sql")
