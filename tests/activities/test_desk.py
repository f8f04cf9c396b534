"""Saved views and preferences of the staff on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from activities.database.database import Database
from activities.database.migrate import migrate
from activities.people import desk
from activities.people.desk import Desk, Preferences
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person, Unit
from cases.vocabulary.refusals import Refused
from tests.postgres import Cluster, as_writer

UNITS = [Unit(id="hq"), Unit(id="north", parent="hq"), Unit(id="east", parent="hq")]
ANN, BEN, CAI = (
    Person(id="ann", role="agent", unit="north"),
    Person(id="ben", role="agent", unit="north"),
    Person(id="cai", role="agent", unit="east"),
)


@pytest.fixture
async def database(postgres: Cluster) -> AsyncIterator[Database]:
    """A database with three of the staff, opened as who only writes."""
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    async with Database.open(as_writer(dsn), only_writes=True) as made:
        await DirectoryChanges(made).replace_people([ANN, BEN, CAI], units=UNITS)
        yield made


async def names(desk: Desk, person: str) -> list[str]:
    """The views that somebody sees, whose they are before each."""
    return [f"{view.person}: {view.name}" for view in await desk.views(person)]


async def test_a_view_is_kept_renamed_shared_and_forgotten(database: Database) -> None:
    kept = Desk(database)
    late = await kept.save("ann", "  Late \n ones ", "find", "is_breached=yes", shared=False)
    await kept.save("ann", "all", "now", "sort=unit", shared=True)
    [all_, view] = await kept.views("ann")
    assert (view.id, view.name, view.page, view.query, view.shared) == (
        late,
        "Late ones",
        "find",
        "is_breached=yes",
        False,
    )
    assert (all_.name, all_.page, all_.query, all_.shared) == ("all", "now", "sort=unit", True)
    assert await names(kept, "ben") == ["ann: all"]
    assert await names(kept, "cai") == []
    # Another's is neither changed nor forgotten.
    assert not await kept.change("ben", late, "mine", shared=True)
    assert not await kept.drop("ben", late)
    assert await kept.change("ann", late, "Later", shared=True)
    assert await names(kept, "ben") == ["ann: all", "ann: Later"]
    assert await kept.drop("ann", late)
    assert not await kept.drop("ann", late)
    assert await names(kept, "ann") == ["ann: all"]


async def test_whoever_leaves_or_moves_shows_nothing_any_more(database: Database) -> None:
    kept, staff = Desk(database), DirectoryChanges(database)
    await kept.save("ann", "one", "now", "", shared=True)
    assert await names(kept, "ben") == ["ann: one"]
    await staff.replace_people([ANN.model_copy(update={"unit": "east"}), BEN, CAI], units=UNITS)
    # The people of her new unit were not asked for either.
    assert (await names(kept, "ben"), await names(kept, "cai")) == ([], [])
    assert await names(kept, "ann") == ["ann: one"]
    await staff.replace_people([BEN, CAI], units=UNITS)
    assert (await names(kept, "ann"), await names(kept, "ben")) == ([], [])
    with pytest.raises(Refused, match="at most"):
        await kept.save("ann", "two", "now", "", shared=False)


async def test_views_have_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MOST_VIEWS", 2)
    kept = Desk(database)
    for name in ("a", "b"):
        await kept.save("ann", name, "now", "", shared=False)
    with pytest.raises(Refused, match="at most 2 views") as refused:
        await kept.save("ann", "c", "now", "", shared=False)
    assert refused.value.code == "too_many_views"
    await kept.save("ben", "c", "now", "", shared=False)


@pytest.mark.parametrize(
    ("name", "page", "query"),
    [("", "now", ""), (" \n", "now", ""), ("n" * 61, "now", ""), ("a\0b", "now", ""), ("\ud800", "now", ""),
     ("a", "case", ""), ("a", "now", "q" * 2001), ("a", "now", "\0")],
)  # fmt: skip
async def test_what_is_no_view_is_refused(database: Database, name: str, page: str, query: str) -> None:
    with pytest.raises(Refused) as refused:
        await Desk(database).save("ann", name, page, query, shared=False)
    assert refused.value.code == "invalid"


async def test_what_is_not_said_stays_as_it_was(database: Database) -> None:
    kept, now = Desk(database), datetime(2026, 3, 10, 9, tzinfo=UTC)
    assert await kept.preferences("ann") == Preferences()
    await kept.prefer("ann", now_sort="unit")
    await kept.prefer("ann", sound=True, seen_at=now)
    await kept.prefer("ann", notify=True, seen_at=now - timedelta(hours=1))
    assert await kept.preferences("ann") == Preferences("unit", True, True, now)
    await kept.prefer("ann", notify=False, sound=False)
    assert await kept.preferences("ann") == Preferences("unit", False, False, now)
    assert await kept.preferences("ben") == Preferences()
