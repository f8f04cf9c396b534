"""Erasure of what cases hold of persons, and legal holds that forbid it."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the tables, and let texts and facts change in one way only."""
    execute_file("0019_erasure.sql")
