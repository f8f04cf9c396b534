"""The payout book, and the book of the embedded gateway."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    execute_file("0002_payouts.sql")
