"""Drafts of filings, cases by a customer's phone, and looks that hold for a sitting."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Keep what is typed until it is filed, find cases by a hash of a phone, and let a look hold for a sitting."""
    execute_file("0023_desk.sql")
