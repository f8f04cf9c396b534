"""Attachments that were uploaded."""

from __future__ import annotations

from activities.database.migrations import execute_file

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Say which content in the store belongs to which case."""
    execute_file("0024_attachments.sql")
