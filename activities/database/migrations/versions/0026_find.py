"""Finding cases by what people type: displayed words, parts of numbers, people, and what was written."""

from __future__ import annotations

from activities.casebook.folding import FOLDED
from activities.database.migrations import execute_file

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Have every row that is written make what it is found by; rows from before wait for `migrate` to do so."""
    from alembic import op
    from sqlalchemy import text

    execute_file("0026_find.sql")
    pairs = {"written": list(FOLDED), "read": list(FOLDED.values())}
    rows = "SELECT * FROM unnest(CAST(:written AS text[]), CAST(:read AS text[]))"
    op.get_bind().execute(text(f"INSERT INTO search_fold (written, read) {rows}"), pairs)
