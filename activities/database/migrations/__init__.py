"""Schema migrations, run by `activities.database.migrate.migrate`; the SQL lies in files beside the revisions."""

from __future__ import annotations

from importlib.resources import files


def execute_file(name: str) -> None:
    """Run one SQL file of ``versions/``, which may hold many statements, in the migration's transaction."""
    from alembic import op
    from sqlalchemy.engine import AdaptedConnection

    text = (files(__name__) / "versions" / name).read_text(encoding="utf-8")
    # The driver's own `execute`: SQLAlchemy prepares statements, and a prepared one is a single one.
    adapted = op.get_bind().connection.dbapi_connection
    assert isinstance(adapted, AdaptedConnection)
    adapted.run_async(lambda driver: driver.execute(text))
