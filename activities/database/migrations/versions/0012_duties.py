"""Who is paid, for which parcel, and who an account belongs to."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the tables and columns."""
    execute_file("0012_duties.sql")
