"""What proves the record: checkpoints, epochs, and the chain of the log of looks."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the tables and columns."""
    execute_file("0013_proof.sql")
