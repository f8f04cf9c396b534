"""The test kind of `tests.second_kind.inspection` as real workflows; test_second_kind.py runs it in a process apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

from activities.audit.everything import Everything
from activities.audit.keys import new_key
from activities.casebook.number import Numbers
from activities.casebook.open import Openings
from activities.casebook.restored import Restored
from activities.database.database import Database
from activities.database.migrate import migrate
from activities.messages import CallOrder, OpenOrder
from activities.people.directory import DirectoryBook
from activities.people.directory_changes import DirectoryChanges
from activities.policies.store import Policies
from activities.senders.key_set import ANY, entry
from activities.senders.sign import Signer
from cases.directory import Person, Unit
from cases.registry import declare
from starter.client import CaseClient
from starter.recovery.compare import Comparison
from starter.recovery.recovery import Recovery
from starter.rehearsal.command import rehearse
from tests.activities.ledger import behind_the_back
from tests.casebook import open_book
from tests.postgres import Cluster, cluster
from tests.second_kind.inspection import Inspection
from tests.temporal import eventually, task_failures, time_skipping
from tests.workflows.backend import Backend, Handle, is_about, open_backend

HERE = Path(__file__).parent
POLICIES = HERE / "policies"
AGENT = {"id": "agent-1", "role": "agent"}
MONTH = datetime.now(UTC).astimezone(Policies(POLICIES).load("default").working.zone).strftime("%Y-%m")


@pytest.mark.parametrize("engine", ["core", "temporal"])
def test_its_scenario_holds(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = rehearse([HERE / "accepted.toml"], engine, policies=Policies(POLICIES))
    assert done == 0, capsys.readouterr().out


def test_a_kind_that_could_never_be_numbered_is_refused() -> None:
    parts = {name: part for name, part in Inspection.PARTS.items() if name != "numbering"}
    with pytest.raises(TypeError, match=r"Other\.PARTS: Numbering is missing"):
        declare(type("Other", (Inspection,), {"KIND": "other", "WORKFLOW": "Other", "PARTS": parts}))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    async with time_skipping() as env:
        yield env


@pytest.fixture(scope="module")
async def backend(
    env: WorkflowEnvironment, postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Backend]:
    database = await postgres.fresh_database()
    await migrate(database)
    async with open_backend(env, database, tmp_path_factory.mktemp("second")) as made:
        _policies(made)
        yield made


def _policies(backend: Backend) -> None:
    (backend.folder / "policies" / "default.toml").write_text((POLICIES / "default.toml").read_text("utf-8"))


@pytest.fixture
async def superuser(backend: Backend) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(backend.database)
    yield connection
    await connection.close()


async def inspection(backend: Backend, key: str) -> Handle:
    await backend.client.file("inspection", {"key": key, "facts": {"machine": "M-1"}})
    return backend.handle(f"inspection:{key}")


async def seen(backend: Backend, case: Handle, type: str, count: int = 1) -> list[dict[str, Any]]:
    return await eventually(lambda: backend.timeline(case, type), lambda found: len(found) >= count)


async def faults(backend: Backend) -> list[str]:
    async with Database.open(backend.database) as database:
        return [str(fault) for fault in (await Everything(database, second_look=0.5).verify()).faults]


# --- the number ------------------------------------------------------------------------------------


async def test_it_is_numbered_when_it_is_accepted(backend: Backend) -> None:
    first, second = await inspection(backend, "n-1"), await inspection(backend, "n-2")
    await backend.recorded(first)
    assert (await first.query("case"))["number"] is None
    assert (await backend.book.case(first.id) or {})["number"] is None
    for case in (second, first):
        await backend.do(case, "accept_inspection")
        await seen(backend, case, "numbered")
        await backend.recorded(case)
    numbers = [(await backend.book.case(case.id) or {})["number"] for case in (second, first)]
    assert numbers == [f"{MONTH}-0001", f"{MONTH}-0002"]
    assert (await first.query("case"))["number"] == numbers[1]
    assert [view["id"] for view in await backend.book.by_number(numbers[1], "inspection")] == [first.id]
    # A mail of a case without a number names it by its key.
    [mail] = await eventually(lambda: _mails(backend, second), bool)
    assert mail["Subject"].startswith(f"[{second.id.partition(':')[2]}]"), mail["Subject"]
    described = await backend.env.client.get_workflow_handle(first.id).describe()
    assert [pair.value for pair in described.typed_search_attributes if pair.key.name == "CaseNumber"] == [numbers[1]]
    assert await faults(backend) == []


async def _mails(backend: Backend, case: Handle, subject: str = "") -> list[Any]:
    found = [mail for mail in backend.mails() if is_about(mail, case.id)]
    return [mail for mail in found if subject in mail["Subject"]]


async def test_numbers_wait_for_a_recovery_and_the_case_goes_on_meanwhile(backend: Backend) -> None:
    restored = Restored(backend.book.database)
    await restored.begin()
    case = await inspection(backend, "waits")
    await backend.do(case, "accept_inspection")
    await backend.do(case, "note", text="it goes on")
    await backend.recorded(case)
    assert await backend.timeline(case, "numbered") == []
    await restored.end()
    await seen(backend, case, "numbered")
    await backend.recorded(case)
    assert await faults(backend) == []


async def test_an_answer_that_is_lost_with_its_worker_is_given_again(postgres: Cluster, tmp_path: Path) -> None:
    database = await postgres.fresh_database()
    await migrate(database)
    folders = [tmp_path / name for name in ("before", "after")]
    for folder in folders:
        folder.mkdir()
    async with time_skipping() as env:
        async with open_backend(env, database, folders[0]) as before:
            _policies(before)
            await Restored(before.book.database).begin()
            cases = [await inspection(before, f"lost-{n}") for n in range(10)]
            await asyncio.gather(*(before.do(case, "accept_inspection") for case in cases))
            for case in cases:
                await before.recorded(case)
        async with open_book(database) as book:
            await Restored(book.database).end()
            given = {}
            for case in reversed(cases):
                [seq] = [event["seq"] for event in await book.events(case.id) if event["type"] == "inspection_accepted"]
                run = await Restored(book.database).holder(case.id) or ""
                month = {"year": int(MONTH[:4]), "month": int(MONTH[5:])}
                answer = await Numbers(book.database).give_number(CallOrder(case.id, month, seq, "", "", run))
                given[case.id] = answer["number"]
        assert sorted(given.values()) == [f"{MONTH}-{n:04}" for n in range(1, 11)]
        async with open_backend(env, database, folders[1]) as after:
            _policies(after)
            for case in cases:
                [event] = await seen(after, case, "numbered")
                assert event["data"]["number"] == given[case.id]
                await after.recorded(case)
            assert await faults(after) == []


async def test_a_number_that_was_given_twice_is_replaced(backend: Backend, superuser: asyncpg.Connection) -> None:
    """A casebook is restored that does not know of the number, and gives it away before anybody notices."""
    case = await inspection(backend, "twice-1")
    await backend.do(case, "note", text="before")
    known = len(await backend.recorded(case))
    await backend.do(case, "accept_inspection")
    await seen(backend, case, "numbered")
    await backend.recorded(case)
    [number] = [event["data"]["number"] for event in await backend.timeline(case, "numbered")]
    head = f"SELECT seq, hash FROM case_event WHERE case_id = '{case.id}' AND seq = {known}"
    view = f'view || \'{{"number": null, "events": {known}}}\''
    await behind_the_back(
        superuser,
        f"UPDATE case_file SET (head_seq, head_hash) = ({head}), number = NULL, view = {view} "
        f"WHERE case_id = '{case.id}'",
        *(
            f"DELETE FROM {table} WHERE case_id = '{case.id}' AND seq > {known}"
            for table in ("case_event", "case_text", "notification")
        ),
        f"DELETE FROM case_number_given WHERE case_id = '{case.id}'",
        "UPDATE case_number SET serial = serial - 1 WHERE kind = 'inspection'",
    )
    other = await inspection(backend, "twice-2")
    await backend.do(other, "accept_inspection")
    await backend.recorded(other)
    [again] = await seen(backend, other, "numbered")
    assert again["data"]["number"] == number
    await backend.recorded(other)
    await backend.do(case, "note", text="after")
    # The ledger is behind: numbers wait until somebody has looked.
    [taken] = await seen(backend, case, "number_taken")
    assert taken["data"]["number"] == number
    assert (await case.query("case"))["number"] is None
    await Restored(backend.book.database).end()
    numbered = await seen(backend, case, "numbered", 2)
    await backend.recorded(case)
    assert numbered[1]["data"]["number"] == f"{number[:8]}{int(number[8:]) + 1:04}"
    assert (await backend.book.case(case.id) or {})["number"] == numbered[1]["data"]["number"]
    assert await faults(backend) == []
    assert await task_failures(backend.env.client, case.id) == []


async def test_a_casebook_that_was_lost_takes_numbers_over_from_the_engine(postgres: Cluster, tmp_path: Path) -> None:
    async with time_skipping() as env:
        databases, folders = [await postgres.fresh_database() for _ in range(2)], [tmp_path / name for name in "ab"]
        for database, folder in zip(databases, folders, strict=True):
            await migrate(database)
            folder.mkdir()
        async with open_backend(env, databases[0], folders[0]) as before:
            _policies(before)
            cases = [await inspection(before, f"engine-{n}") for n in range(3)]
            for case in cases[:2]:
                await before.do(case, "accept_inspection")
                await seen(before, case, "numbered")
            for case in cases:
                await before.recorded(case)
        async with open_backend(env, databases[1], folders[1]) as after:
            _policies(after)
            recovery = Recovery(env.client, after.book.database)
            outcomes = [outcome async for outcome in recovery.run("from-engine")]
            assert {one.case_id: one.why_not for one in outcomes} == {case.id: "" for case in cases}
            assert await recovery.clashes() == []
            numbers = [(await after.book.case(case.id) or {})["number"] for case in cases]
            assert numbers == [f"{MONTH}-0001", f"{MONTH}-0002", None]
            await after.do(cases[2], "accept_inspection")
            [last] = await seen(after, cases[2], "numbered")
            assert last["data"]["number"] == f"{MONTH}-0003"
            for case in cases:
                await after.recorded(case)
            assert await faults(after) == []
            compared = [one async for one in Comparison(env.client, after.book.database).run()]
            assert {one.case_id: one.differences for one in compared} == {case.id: () for case in cases}


async def test_the_audit_finds_a_number_that_is_not_what_the_event_says(
    backend: Backend, superuser: asyncpg.Connection
) -> None:
    case = await inspection(backend, "forged")
    await backend.do(case, "accept_inspection")
    await seen(backend, case, "numbered")
    await backend.recorded(case)
    number = (await backend.book.case(case.id) or {})["number"]
    await superuser.execute("UPDATE case_file SET number = '2020-01-0001' WHERE case_id = $1", case.id)
    try:
        found = await faults(backend)
        assert any(case.id in fault and "the column number" in fault for fault in found), found
        assert any("2020-01-0001 was never given" in fault for fault in found), found
    finally:
        await superuser.execute("UPDATE case_file SET number = $2 WHERE case_id = $1", case.id, number)
    assert await faults(backend) == []


# --- other cases -----------------------------------------------------------------------------------


async def test_it_files_a_case_of_another_kind_and_of_its_own(backend: Backend) -> None:
    case = await inspection(backend, "files")
    for other in ("complaint:files-1", "inspection:files-2", "complaint:files-bad", "complaint:files-1"):
        await backend.do(case, "file_beside", other=other)
    done = await seen(backend, case, "opening_done", 4)
    assert {event["data"]["of"]: event["data"]["outcome"] for event in done} == {
        event["seq"]: outcome
        for event, outcome in zip(
            await backend.timeline(case, "case_filed"), ["opened", "opened", "invalid", "conflict"], strict=True
        )
    }
    for opened in ("complaint:files-1", "inspection:files-2"):
        view = await backend.handle(opened).query("case")
        assert (view["parent"], view["policy"]) == (case.id, "default")
        [first] = await backend.timeline(backend.handle(opened), "case_opened")
        assert first["actor"] == AGENT
    assert sorted((await case.query("case"))["filed"]) == ["complaint:files-1", "inspection:files-2"]


async def test_a_circle_ends_with_what_is_there(backend: Backend) -> None:
    case = await inspection(backend, "circle-1")
    await backend.do(case, "file_beside", other="inspection:circle-2")
    await seen(backend, case, "opening_done")
    other = backend.handle("inspection:circle-2")
    await backend.do(other, "file_beside", other="inspection:circle-1")
    [done] = await seen(backend, other, "opening_done")
    assert done["data"]["outcome"] == "conflict"


async def test_a_form_is_filed_by_its_own_name(backend: Backend) -> None:
    """What files it is asked for the name and under the policy of the parent; a form that is none is refused."""
    asked = []

    async def file(kind: str, intake: Any) -> tuple[dict[str, Any], bool]:
        asked.append((kind, intake["policy"]))
        return {"id": f"{kind}:{intake['key']}"}, True

    order = OpenOrder("car_hire", {"key": "c-1", "policy": "own", "facts": {}}, "inspection:n-1")
    opened = await ActivityEnvironment().run(Openings(backend.book.database, file).open_case, order)
    assert (opened.id, asked) == ("car_hire:c-1", [("car_hire", "own")])
    case = await inspection(backend, "forms")
    for other in ("improvement_slip:forms", "car_hire:c-1"):
        await backend.do(case, "file_beside", other=other)
    done = {event["data"]["case"]: event["data"]["outcome"] for event in await seen(backend, case, "opening_done", 2)}
    assert done == {"improvement_slip:forms": "opened", "car_hire:c-1": "unknown_kind"}
    view = await backend.handle("improvement_slip:forms").query("case")
    assert (view["kind"], view["parent"], view["status"]) == ("improvement_slip", case.id, "open")


async def test_where_commands_are_signed_only_what_a_case_asked_for_is_filed(postgres: Cluster, tmp_path: Path) -> None:
    server, senders = Signer(tmp_path / "server.pem"), tmp_path / "senders.toml"
    senders.write_text("signed_since = 2020-01-01T00:00:00+08:00\n" + entry(new_key(server.file), ANY, [ANY]), "utf-8")
    database = await postgres.fresh_database()
    await migrate(database)
    more: Any = {"commands": "signed", "senders": senders, "sender_key": server.file}
    async with time_skipping() as env, open_backend(env, database, tmp_path, **more) as backend:
        _policies(backend)
        client = CaseClient(env.client, backend.book, server)
        await client.file("inspection", {"key": "s-1", "by": AGENT, "facts": {"machine": "M-1"}})
        case = backend.handle("inspection:s-1")
        await client.command(case.id, "file_beside", {"by": AGENT, "other": "complaint:s-1"})
        [done] = await seen(backend, case, "opening_done")
        assert done["data"]["outcome"] == "opened"
        await backend.recorded(case)
        openings = Openings(backend.book.database, client.open)
        forged = OpenOrder("complaint", {"key": "s-2", "by": AGENT, "facts": {"category": "other"}}, case.id)
        with pytest.raises(Exception, match="no record asks for this case"):
            await ActivityEnvironment().run(openings.open_case, forged)


# --- copies ----------------------------------------------------------------------------------------


async def test_each_copy_goes_out_by_itself_and_can_be_sent_again_by_itself(backend: Backend) -> None:
    case = await inspection(backend, "copies")
    await backend.do(case, "accept_inspection")
    await seen(backend, case, "numbered")
    await backend.do(case, "issue_copies", to=["supervisor", "qa_manager", "supervisor"], close=False)
    told = await seen(backend, case, "notified", 4)
    copies = [event["data"] for event in told if event["data"]["notice"] == "copy"]
    assert [(one["no"], one["roles"], one["outcome"]) for one in copies] == [
        (1, ["supervisor"], "sent"), (2, ["qa_manager"], "sent"), (3, ["supervisor"], "sent"),
    ]  # fmt: skip
    assert len({one["id"] for one in copies}) == 3
    mails = await eventually(lambda: _mails(backend, case, "联"), lambda found: len(found) >= 3)
    assert sorted(mail["To"] for mail in mails) == ["quality@example.com"] + ["supervisor@example.com"] * 2
    texts = " ".join(mail["Subject"] + mail.get_content() for mail in mails)
    assert all(f"第 {no} 联" in texts for no in (1, 2, 3)), texts
    second = next(event for event in told if event["data"].get("no") == 2)
    await backend.do(case, "resend", notice=second["seq"])
    again = (await seen(backend, case, "notified", 5))[-1]["data"]
    assert (again["no"], again["roles"], again["outcome"]) == (2, ["qa_manager"], "sent")
    assert again["id"] == second["data"]["id"]
    await backend.recorded(case)
    assert await faults(backend) == []


# --- absences --------------------------------------------------------------------------------------


async def test_who_is_sent_away_is_on_no_duty(backend: Backend) -> None:
    people = [Person(id=id, role="agent", unit="hq") for id in ("agent-1", "agent-2")]
    await DirectoryChanges(backend.book.database).replace_people(people, units=[Unit(id="hq")])
    now = datetime.now(UTC)
    away = {"begins": (now - timedelta(hours=1)).isoformat(), "ends": (now + timedelta(days=1)).isoformat()}
    case = await inspection(backend, "away")
    await backend.do(case, "send_away", people=["agent-1", "nobody-1"], **away)
    [done] = await seen(backend, case, "away_recorded")
    assert done["data"]["unknown"] == ["nobody-1"]
    directory = await DirectoryBook(backend.book.database).read()
    assert [(one.person, one.case_id) for one in directory.absences] == [("agent-1", case.id)]
    found = directory.who("agent", "hq", now).person
    assert found is not None
    assert found.id == "agent-2"
