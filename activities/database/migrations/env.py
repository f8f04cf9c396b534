"""Alembic's environment: runs the revisions on the connection that `activities.database.migrate.migrate` opened."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # A name of our own: the database may hold other programs' tables.
    version_table="caseladder_version",
)
with context.begin_transaction():
    context.run_migrations()
