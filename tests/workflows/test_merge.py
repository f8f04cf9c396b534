"""Merging through the real shell: two workflows, a worker with the real activity between them, a real casebook."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.casebook.merge import Merges
from cases.vocabulary.refusals import Refused
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import Backend, Handle, Json
from tests.workflows.disasters import Installation, go_on, recover, stop_at

HOUR = timedelta(hours=1)


def in_an_hour() -> str:
    """An instant that lies ahead."""
    return (datetime.now(UTC) + HOUR).isoformat()


async def answered(backend: Backend, case: Handle, times: int = 1) -> Json:
    """What came of the merge that a case has asked for, for so many times."""
    answers = await eventually(lambda: answers_of(backend, case), lambda found: len(found) == times)
    return answers[-1]


async def answers_of(backend: Backend, case: Handle) -> list[Json]:
    """What the ledger has of the answers to a case that asked to be merged."""
    return [one for one in await backend.book.events(case.id) if one["type"] in ("merged", "merge_refused")]


async def two(backend: Backend) -> tuple[Handle, Handle]:
    """Two complaints, the earlier one first."""
    return await backend.file(), await backend.file()


async def test_a_duplicate_ends_in_the_earlier_case_which_keeps_its_promise(backend: Backend) -> None:
    earlier, later = await two(backend)
    due = in_an_hour()
    await backend.do(later, "promise", reply_by=due)

    asked = await backend.do(later, "merge", into=earlier.id)

    assert (asked["merging"], asked["status"]) == (earlier.id, "open")
    assert (await later.result())["merged_into"] == earlier.id
    ended = await backend.recorded(later)
    assert [one["type"] for one in ended if one["type"] in ("merged", "closed")] == ["merged", "closed"]
    [taken] = [one for one in await backend.recorded(earlier) if one["type"] == "duplicate_taken"]
    assert (taken["data"]["case"], taken["actor"]) == (later.id, {"id": "caseladder", "role": "system"})
    view = await backend.book.case(earlier.id)
    assert view is not None
    assert (view["duplicates"], view["status"]) == ([later.id], "open")
    [promise] = [one for one in view["clocks"] if one["clock"] == "promise:1"]
    assert (promise["state"], datetime.fromisoformat(promise["due"])) == ("running", datetime.fromisoformat(due))
    # Either side shows the other.
    for case, other in ((earlier, later), (later, earlier)):
        linked = await backend.book.case(case.id)
        assert linked is not None
        assert other.id in (linked["merged_into"], *linked["duplicates"])


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_that_are_merged_into_each_other_at_once_exactly_one_ends(backend: Backend, first: int) -> None:
    for _ in range(3):
        cases = await two(backend)
        for case in cases:
            await backend.do(case, "promise", reply_by=in_an_hour())
        ways = [(cases[0], cases[1]), (cases[1], cases[0])]
        await asyncio.gather(
            *(backend.do(one, "merge", into=other.id) for one, other in (ways[first], ways[1 - first]))
        )
        earlier, later = [await answered(backend, case) for case in cases]
        assert (earlier["type"], later["type"]) == ("merge_refused", "merged")
        assert earlier["data"]["code"] in ("not_earlier", "closed")
        views = [await backend.book.case(case.id) for case in cases]
        assert [view and view["status"] for view in views] == ["open", "closed"]
        assert views[0] is not None
        assert len([one for one in views[0]["clocks"] if one["clock"].startswith("promise:")]) == 2


async def test_of_three_that_are_merged_in_a_ring_some_are_left(backend: Backend) -> None:
    cases = [*(await two(backend)), await backend.file()]
    await asyncio.gather(*(backend.do(case, "merge", into=cases[place - 1].id) for place, case in enumerate(cases)))
    came_of_it = [(await answered(backend, case))["type"] for case in cases]
    assert came_of_it[0] == "merge_refused"
    views = [await backend.book.case(case.id) for case in cases]
    open_ = [view["id"] for view in views if view and view["status"] == "open"]
    assert len(open_) == came_of_it.count("merge_refused") >= 1
    for view in views:
        # Whoever ended is in the one that took it.
        if view and view["status"] == "closed":
            target = await backend.book.case(view["merged_into"])
            assert target is not None
            assert view["id"] in target["duplicates"]


async def test_a_case_that_is_not_taken_goes_on(backend: Backend) -> None:
    earlier, later = await two(backend)
    solved, over = await two(backend)
    await backend.do(solved, "resolve")
    await backend.do(over, "withdraw", "customer")
    await over.result()
    last = await backend.file()
    targets = ((over.id, "closed"), (solved.id, "resolved"), ("complaint:none", "not_found"))
    for times, (into, code) in enumerate(targets, 1):
        await backend.do(last, "merge", into=into)
        answer = await answered(backend, last, times)
        assert (answer["type"], answer["data"]) == ("merge_refused", {"into": into, "code": code})
    await backend.do(earlier, "merge", into=later.id)
    assert (await answered(backend, earlier))["data"]["code"] == "not_earlier"
    # Both go on as they were.
    for case in (earlier, last):
        assert (await backend.do(case, "acknowledge"))["merging"] is None
        await backend.do(case, "promise", reply_by=in_an_hour())


async def test_a_worker_that_dies_after_the_other_case_agreed_is_answered_again(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, later = await two(backend)
    has_taken, tries = Merges._has_taken, 0

    async def dies_once(self: Merges, into: str, case_id: str) -> bool:
        nonlocal tries
        tries += case_id == later.id
        if case_id == later.id and tries == 1:
            raise RuntimeError("the worker dies")
        return await has_taken(self, into, case_id)

    monkeypatch.setattr(Merges, "_has_taken", dies_once)
    await backend.do(later, "promise", reply_by=in_an_hour())
    await backend.do(later, "merge", into=earlier.id)
    assert (await answered(backend, later))["type"] == "merged"
    assert tries > 1
    taken = [one for one in await backend.recorded(earlier) if one["type"] in ("duplicate_taken", "promised")]
    assert [one["type"] for one in taken] == ["duplicate_taken", "promised"]


async def test_what_is_asked_meanwhile_is_refused_or_kept(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, later = await two(backend)
    gate, has_taken = asyncio.Event(), Merges._has_taken

    async def waits(self: Merges, into: str, case_id: str) -> bool:
        if case_id == later.id:
            await gate.wait()
        return await has_taken(self, into, case_id)

    monkeypatch.setattr(Merges, "_has_taken", waits)
    await backend.do(later, "merge", into=earlier.id)
    for name, fields in (("promise", {"reply_by": in_an_hour()}), ("merge", {"into": earlier.id}), ("resolve", {})):
        await refused(backend, later, "merging", name, fields)
    await backend.do(later, "note", text="the customer called")
    gate.set()
    assert (await answered(backend, later))["type"] == "merged"


async def refused(backend: Backend, case: Handle, code: str, name: str, fields: Mapping[str, Any]) -> None:
    """Send a command that is refused with a code."""
    with pytest.raises(Refused) as caught:
        await backend.do(case, name, **fields)
    assert caught.value.code == code


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_a_case_that_is_started_from_its_ledger_while_it_asks_gets_the_same_answer(
    postgres: Cluster, casebook_template: str, tmp_path: Path
) -> None:
    installation = Installation(postgres, casebook_template, tmp_path)
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        earlier, later = await two(backend)
        await backend.do(later, "promise", reply_by=in_an_hour())
        await backend.recorded(earlier)
        # The other case agrees, but nothing of it comes to the ledger: so it does not count yet.
        await stop_at(database, "duplicate_taken")
        await backend.do(later, "merge", into=earlier.id)
        await eventually(lambda: backend.timeline(earlier, "duplicate_taken"), lambda events: len(events) == 1)
        await backend.recorded(later)
        code, done = await recover(backend, later.id)
        assert (code, [one["restarted"] for one in done["cases"]]) == (0, [True])
        again = backend.handle(later.id)
        assert (await eventually(lambda: again.query("case"), lambda view: "merging" in view))["merging"] == earlier.id
        await go_on(database)
        assert (await answered(backend, again))["type"] == "merged"
        events = await backend.recorded(earlier)
        assert [one["data"]["case"] for one in events if one["type"] == "duplicate_taken"] == [later.id]
        assert len([one for one in events if one["type"] == "promised"]) == 1
