"""Searches that know what this installation calls things: its own templates, and the titles of the forms."""

from __future__ import annotations

from collections.abc import Callable

from activities.casebook.meanings import Label, read_labels
from activities.casebook.search import Search
from activities.database.database import Database
from starter.forms import Forms, table_of
from starter.settings import Settings


def searching(database: Database, settings: Settings, forms: Callable[[], Forms]) -> Search:
    """Return what searches a database.

    Args:
        forms: gives what the policies declare, once somebody searches.
    """

    def labels() -> tuple[Label, ...]:
        return read_labels(settings.templates, {name: table_of(form).titles(name) for name, form in forms().items()})

    return Search(database, labels)
