"""docs/events.md says of each type of event what its model says."""

from __future__ import annotations

from cases.vocabulary.events import EVENTS
from tests.event_reference import PAGE, table, written


def test_the_page_is_what_the_models_say() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "run: python -m tests.event_reference"


def test_every_type_and_every_field_has_its_place() -> None:
    rows = {line.split("`")[1]: line for line in table().splitlines() if line.startswith("| `")}
    assert rows.keys() == EVENTS.keys()
    for type_, model in EVENTS.items():
        assert model.__doc__, type_
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in rows[type_], (type_, name)
