"""What the writer of the ledger may do to a counter without owning it."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the function."""
    execute_file("0014_roles.sql")
