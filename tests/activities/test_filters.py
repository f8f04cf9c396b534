"""A column to filter by is declared once: everything that lists cases takes it."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from activities.casebook.filter import Column, Filter, Name, fields
from activities.database.database import Database
from activities.database.migrate import migrate
from starter.api.app import bare_app
from tests.activities.ledger import batch
from tests.casebook import open_book
from tests.cli.program import call
from tests.postgres import Cluster


@pytest.mark.parametrize("command", ["list", "export"])
def test_the_command_line_takes_every_filter(command: str) -> None:
    help = call(command, "--help").out
    assert [field.name for field in fields() if f" --{field.name.replace('_', '-')} " not in help] == []


def test_the_api_takes_every_filter() -> None:
    taken = {one["name"]: one for one in bare_app({}).openapi()["paths"]["/api/v1/cases"]["get"]["parameters"]}
    for field in fields():
        assert taken[field.name]["description"] == field.description
    assert taken.keys() == {field.name for field in fields()} | {"order", "limit", "after"}


class Wider(Filter):
    """With a column that the product does not have."""

    region: Annotated[Name | None, Column("file.region = {}")] = Field(None, description="the region")


async def test_a_new_column_is_a_migration_and_a_line(postgres: Cluster) -> None:
    """PostgreSQL takes it from the view by itself, so that nothing that records knows of it."""
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    async with open_book(dsn) as book:
        async with Database.open(dsn) as owner, owner.connection() as connection:
            await connection.execute(
                "ALTER TABLE case_file ADD COLUMN region text GENERATED ALWAYS AS (view ->> 'region') STORED"
            )
        for key, region in (("a", "east"), ("b", "west")):
            await book.record(batch(1, 1, f"complaint:{key}", region=region))
        wanted = Wider(region="west", kind="complaint")
        page = await book.page(wanted, units=None, kinds=None)
        assert [view["id"] for view in page.cases] == ["complaint:b"]
        assert (await book.count(wanted, units=None, kinds=None))["total"] == 1
    assert fields(Wider)[-1].name == "region"
