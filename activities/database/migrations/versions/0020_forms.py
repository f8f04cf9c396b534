"""Numbers that are given after opening, and absences that a case asked for."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Let a case be without a number, and say of an absence which case asked for it."""
    execute_file("0020_forms.sql")
