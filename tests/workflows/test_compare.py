"""``caseladder audit compare`` finds what somebody did to the ledger who recomputes every hash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from activities.casebook.ledger import chain, genesis
from activities.casebook.texts import PERSONAL, commitment
from cases.vocabulary.events import canonical
from starter.recovery import compare
from starter.recovery.compare import Difference, differing
from tests.activities.ledger import behind_the_back
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import Backend, Handle, Json
from tests.workflows.disasters import Installation, ask, go_on, program, recover, stop_at

pytestmark = pytest.mark.timeout(120)

SECRET = "the vase of Zhang San"
FORGED = "no vase at all"
JANUARY = "2026-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Setup:
    """A backend of its own, since its ledger is forged, with cases of all sorts."""

    backend: Backend
    open: Handle
    closed: Handle

    async def compare(self, *cases: str) -> tuple[int, Json]:
        """Run the command; return the exit code and what it says."""
        answer = await program(self.backend, "audit", "compare", "--json", *cases)
        for text in (SECRET, FORGED):
            assert text not in answer.out + answer.err
        return answer.code, json.loads(answer.out)

    async def differences(self, case: Handle) -> list[tuple[Any, ...]]:
        """Return what is said to differ, of one case only."""
        code, said = await self.compare()
        assert (code, said["agrees"], said["differing"]) == (1, False, 1), said
        assert {one["case_id"] for one in said["differences"]} == {case.id}
        return [(one["seq"], one["last"], one["what"], tuple(one["fields"])) for one in said["differences"]]


@pytest.fixture(scope="module")
async def setup(
    postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Setup]:
    installation = Installation(postgres, casebook_template, tmp_path_factory.mktemp("compare"))
    database = await installation.casebook()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compare, "LOOK_AGAIN", 0.2)
        async with time_skipping() as env, installation.running(env, database) as backend:
            personal = {"category": "delay", "customer": {"name": "Zhang San"}}
            case, closed = await backend.file(facts=personal), await backend.file("inquiry")
            await backend.do(case, "note", text=SECRET)
            await backend.do(closed, "note", text=SECRET)
            await backend.do(closed, "withdraw", "customer")
            await eventually(closed.describe, lambda seen: seen.status is not None and seen.status.name == "COMPLETED")
            # What was rehearsed, and what was refused, is in no ledger.
            await backend.rehearse()
            # A case of several runs, the last of which was started from the ledger and knows no texts.
            begun = await backend.file()
            await backend.do(begun, "note", text=SECRET)
            await backend.recorded(begun)
            assert (await recover(backend, begun.id))[0] == 0
            await backend.do(begun, "note", text="later")
            for one in (case, begun):
                await backend.recorded(one)
            yield Setup(backend, case, closed)


@pytest.fixture
async def superuser(setup: Setup) -> AsyncIterator[asyncpg.Connection]:
    """Who does it, and after whom everything is put back."""
    connection = await asyncpg.connect(setup.backend.database)
    tables = ("case_event", "case_file", "case_text", "case_number_given", "case_number")
    for table in tables:
        await connection.execute(f"CREATE TEMP TABLE kept_{table} AS TABLE {table}")
    yield connection
    # The engine's run goes on from the same heads.
    await behind_the_back(
        connection,
        *(f"DELETE FROM {table}" for table in tables),
        *(f"INSERT INTO {table} SELECT * FROM kept_{table}" for table in tables),
    )
    await connection.close()


async def forge(connection: asyncpg.Connection, case_id: str, change: Callable[[list[Json]], list[Json]]) -> None:
    """Change the events of a case, with every hash and the head as they must be then."""
    rows = await connection.fetch("SELECT * FROM case_event WHERE case_id = $1 ORDER BY seq", case_id)
    events = change([json.loads(row["body"]) for row in rows])
    bodies = [canonical(event) for event in events]
    hashes = chain(genesis(case_id).hash, bodies)
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("DELETE FROM case_event WHERE case_id = $1", case_id)
        for event, body, before, after in zip(events, bodies, hashes[:-1], hashes[1:], strict=True):
            await connection.execute(
                "INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash)"
                " VALUES ($1, $2, $3, $4::text::timestamptz, $5::text::timestamptz, $6, $7, $8)",
                case_id, event["seq"], event["type"], event["at"], event["recorded_at"], body, before, after,
            )  # fmt: skip
        await connection.execute(
            "UPDATE case_file SET head_seq = $2, head_hash = $3 WHERE case_id = $1", case_id, len(events), hashes[-1]
        )
        await connection.execute("DELETE FROM case_text WHERE case_id = $1 AND seq > $2", case_id, len(events))


async def passes(setup: Setup) -> None:
    """Check that the hash chain tells nothing of it."""
    assert (await setup.backend.book.verify()).ok


def changed(seq: int, **fields: Any) -> Callable[[list[Json]], list[Json]]:
    def change(events: list[Json]) -> list[Json]:
        events[seq - 1] = {**events[seq - 1], **fields}
        return events

    return change


async def test_they_agree(setup: Setup) -> None:
    code, said = await setup.compare()
    recorded = await ask(setup.backend.database, "SELECT count(*) FROM case_event")
    assert (code, said) == (
        0,
        {
            "agrees": True, "cases": 4, "events": recorded[0][0], "waiting": 0, "not_held": 0, "differing": 0,
            "differences": [],
        },
    )  # fmt: skip
    answer = await program(setup.backend, "audit", "compare", setup.open.id)
    assert answer.code == 0
    assert answer.out.endswith("of 1 case compared: the engine and the ledger agree\n")


@pytest.mark.parametrize("which", ["open", "closed"])
async def test_a_forged_event_with_right_hashes_is_named(
    setup: Setup, superuser: asyncpg.Connection, which: str
) -> None:
    case: Handle = getattr(setup, which)
    seq = next(event["seq"] for event in await setup.backend.book.events(case.id) if event["type"] == "noted")
    await forge(superuser, case.id, changed(seq, actor={"id": "agent-2", "role": "agent"}, at=JANUARY))
    await passes(setup)
    assert await setup.differences(case) == [(seq, 0, "differs", ("at", "actor"))]


async def forged(superuser: asyncpg.Connection, statement: str, *values: Any) -> None:
    """Run a statement with triggers off, as only a superuser can."""
    async with superuser.transaction():
        await superuser.execute("SET LOCAL session_replication_role = replica")
        await superuser.execute(statement, *values)


async def test_a_forged_text_with_its_commitment_is_named(setup: Setup, superuser: asyncpg.Connection) -> None:
    case, salt = setup.open, b"s" * 16
    seq = next(event["seq"] for event in await setup.backend.book.events(case.id) if event["type"] == "noted")
    await forge(superuser, case.id, changed(seq, data={"text": commitment(salt, FORGED)}))
    await forged(
        superuser,
        "UPDATE case_text SET salt = $3, text = $4 WHERE case_id = $1 AND seq = $2",
        case.id,
        seq,
        salt,
        FORGED,
    )
    await passes(setup)
    assert await setup.differences(case) == [(seq, 0, "differs", ("data.text",))]
    # One that was erased is no difference.
    await superuser.execute(
        "UPDATE case_text SET salt = NULL, text = NULL WHERE case_id = $1 AND seq = $2", case.id, seq
    )
    assert (await setup.compare())[0] == 0


async def test_a_text_that_was_taken_out_with_its_commitment_is_named(
    setup: Setup, superuser: asyncpg.Connection
) -> None:
    seq = next(event["seq"] for event in await setup.backend.book.events(setup.open.id) if event["type"] == "noted")
    await forge(superuser, setup.open.id, changed(seq, data={}))
    await superuser.execute("DELETE FROM case_text WHERE case_id = $1 AND seq = $2", setup.open.id, seq)
    await passes(setup)
    assert await setup.differences(setup.open) == [(seq, 0, "differs", ("data.text",))]


async def test_other_personal_facts_with_their_commitment_are_named(
    setup: Setup, superuser: asyncpg.Connection
) -> None:
    kept = await superuser.fetchrow("SELECT facts, salt FROM personal WHERE case_id = $1", setup.open.id)
    other, salt = {"customer": {"name": FORGED}}, b"s" * 16
    facts = "UPDATE personal SET facts = $2, salt = $3 WHERE case_id = $1"
    first = json.loads(
        await superuser.fetchval("SELECT body FROM case_event WHERE case_id = $1 AND seq = 1", setup.open.id)
    )
    assert PERSONAL in first["data"]
    said = {**first["data"], PERSONAL: commitment(salt, canonical(other))}
    await forge(superuser, setup.open.id, changed(1, data=said))
    await forged(superuser, facts, setup.open.id, json.dumps(other), salt)
    try:
        await passes(setup)
        assert await setup.differences(setup.open) == [(1, 0, "differs", ("personal_facts",))]
        # What was erased is no difference.
        await superuser.execute(facts, setup.open.id, None, None)
        assert (await setup.compare())[0] == 0
    finally:
        await forged(superuser, facts, setup.open.id, kept["facts"], kept["salt"])


@pytest.mark.parametrize(
    "view",
    ["{}", "[]", "7", '{"status": "closed"}', '{"status": "closed", "closed_at": "x", "number": null}',
     '{"status": "closed", "closed_at": "2026-01-01T00:00:00", "number": null}', '{"status": [], "number": 7}'],
)  # fmt: skip
async def test_a_case_file_that_cannot_be_read_is_named(setup: Setup, superuser: asyncpg.Connection, view: str) -> None:
    await superuser.execute("UPDATE case_file SET view = ($2::text)::jsonb WHERE case_id = $1", setup.open.id, view)
    assert {one[2] for one in await setup.differences(setup.open)} <= {"unreadable", "differs"}


async def test_a_case_whose_id_the_engine_takes_for_none_is_named(setup: Setup, superuser: asyncpg.Connection) -> None:
    made = "complaint:" + "x" * 2000
    await behind_the_back(
        superuser,
        f"CREATE TEMP TABLE longer AS SELECT * FROM case_file WHERE case_id = '{setup.open.id}'",
        f"UPDATE longer SET case_id = '{made}', number = '2026-01-9998'",
        "INSERT INTO case_file TABLE longer",
    )
    code, said = await setup.compare()
    assert (code, said["differing"]) == (1, 1)
    assert [(one["case_id"], one["what"]) for one in said["differences"]] == [(made, "no_workflow")]


async def test_a_field_that_only_the_ledger_has_is_told_without_its_name(
    setup: Setup, superuser: asyncpg.Connection
) -> None:
    first = json.loads((await ask(setup.backend.database, "SELECT body FROM case_event WHERE seq = 1 LIMIT 1"))[0][0])
    assert "data" in first
    await forge(superuser, setup.open.id, lambda events: changed(1, data={**events[0]["data"], FORGED: 1})(events))
    assert await setup.differences(setup.open) == [(1, 0, "differs", ("data",))]


@pytest.mark.parametrize("which", ["open", "closed"])
async def test_a_cut_tail_is_named(setup: Setup, superuser: asyncpg.Connection, which: str) -> None:
    case: Handle = getattr(setup, which)
    length = len(await setup.backend.book.events(case.id))
    await forge(superuser, case.id, lambda events: events[:-2])
    await passes(setup)
    assert await setup.differences(case) == [(length - 1, length, "cut", ())]


@pytest.mark.parametrize("which", ["open", "closed"])
async def test_an_event_too_many_is_named(setup: Setup, superuser: asyncpg.Connection, which: str) -> None:
    case: Handle = getattr(setup, which)
    length = len(await setup.backend.book.events(case.id))
    await forge(superuser, case.id, lambda events: [*events, {**events[0], "seq": length + 1}])
    await passes(setup)
    assert await setup.differences(case) == [(length + 1, 0, "not_in_engine", ())]


async def test_an_inserted_event_is_named(setup: Setup, superuser: asyncpg.Connection) -> None:
    def insert(events: list[Json]) -> list[Json]:
        doubled = [*events[:2], *events[1:]]
        return [{**event, "seq": seq} for seq, event in enumerate(doubled, 1)]

    # Texts and their seqs would have to follow; it is enough that each event is one further.
    await forge(superuser, setup.closed.id, insert)
    found = await setup.differences(setup.closed)
    assert found[0][:3] == (3, 0, "differs")
    assert found[-1][2] == "not_in_engine"


@pytest.mark.parametrize("ended", [False, True])
async def test_a_case_too_many_is_named(setup: Setup, superuser: asyncpg.Connection, ended: bool) -> None:
    source, made = (setup.closed if ended else setup.open).id, "complaint:never"
    await behind_the_back(
        superuser,
        f"CREATE TEMP TABLE more AS SELECT * FROM case_file WHERE case_id = '{source}'",
        f"UPDATE more SET case_id = '{made}', number = '2026-01-9999'",
        "INSERT INTO case_file TABLE more",
        f"INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash)"
        f" SELECT '{made}', seq, type, at, recorded_at, body, prev_hash, hash FROM case_event"
        f" WHERE case_id = '{source}'",
    )
    await forge(superuser, made, lambda events: events)
    assert await setup.differences(setup.backend.handle(made)) == [(0, 0, "no_workflow", ())]
    # A closed one of an earlier time, nobody knows any more.
    await superuser.execute(
        "UPDATE case_file SET closed_at = now() - interval '1 year', view = view || jsonb_build_object("
        "'status', 'closed', 'closed_at', now() - interval '1 year') WHERE case_id = $1",
        made,
    )
    assert (await setup.compare())[0] == 0
    assert (await setup.compare(made))[0] == 0


@pytest.mark.parametrize("which", ["open", "closed"])
async def test_a_case_that_is_gone_is_named(setup: Setup, superuser: asyncpg.Connection, which: str) -> None:
    case: Handle = getattr(setup, which)
    await behind_the_back(superuser, f"DELETE FROM case_file WHERE case_id = '{case.id}'")
    assert await setup.differences(case) == [(0, 0, "no_case", ())]
    await behind_the_back(
        superuser,
        f"DELETE FROM case_event WHERE case_id = '{case.id}'",
        f"DELETE FROM case_text WHERE case_id = '{case.id}'",
        f"DELETE FROM case_number_given WHERE case_id = '{case.id}'",
    )
    assert await setup.differences(case) == [(0, 0, "no_case", ())]


async def test_another_number_is_named(setup: Setup, superuser: asyncpg.Connection) -> None:
    await superuser.execute(
        "UPDATE case_file SET number = '2026-01-0001', view = view || '{\"number\": \"2026-01-0001\"}'"
        " WHERE case_id = $1",
        setup.open.id,
    )
    assert await setup.differences(setup.open) == [(0, 0, "differs", ("number",))]


@pytest.mark.parametrize("body", ["[]", '{"seq": "x", "data": {}}', '{"seq": 1, "data": []}', "no event"])
async def test_what_cannot_be_read_is_named(setup: Setup, superuser: asyncpg.Connection, body: str) -> None:
    await behind_the_back(
        superuser, f"UPDATE case_event SET body = '{body}' WHERE case_id = '{setup.open.id}' AND seq = 2"
    )
    assert await setup.differences(setup.open) == [(0, 0, "unreadable", ())]


async def test_what_waits_to_be_recorded_is_no_difference(setup: Setup) -> None:
    backend = setup.backend
    await stop_at(backend.database, "noted")
    try:
        await backend.do(setup.open, "note", text="while the ledger takes none")
        code, said = await setup.compare()
        assert (code, said["waiting"]) == (0, 1)
    finally:
        await go_on(backend.database)
    await backend.recorded(setup.open)
    code, said = await setup.compare()
    assert (code, said["waiting"]) == (0, 0)


@pytest.mark.long
async def test_cases_that_run_meanwhile_are_no_difference(setup: Setup) -> None:
    """Compared again and again while they record, none is ever said to differ."""
    done = asyncio.Event()

    async def write() -> None:
        cases = await asyncio.gather(*(setup.backend.file() for _ in range(5)))
        for number in range(12):
            await asyncio.gather(*(setup.backend.do(case, "note", text=f"{number}") for case in cases))
        done.set()

    writing, looks = asyncio.create_task(write()), 0
    while not done.is_set() and not writing.done():
        code, said = await setup.compare()
        assert code == 0, said
        looks += 1
    await writing
    assert looks > 2


async def test_open_cases_whose_run_has_ended_are_named(setup: Setup) -> None:
    case = await setup.backend.file()
    await setup.backend.recorded(case)
    await case.terminate("a mistake")
    assert await setup.differences(case) == [(0, 0, "workflow_ended", ())]
    assert (await recover(setup.backend, case.id))[0] == 0
    assert (await setup.compare())[0] == 0


async def test_what_a_run_that_ended_had_not_recorded_is_named(setup: Setup) -> None:
    case = await setup.backend.file()
    before = len(await setup.backend.recorded(case))
    await stop_at(setup.backend.database, "noted")
    try:
        await setup.backend.do(case, "note", text=SECRET)
        await case.terminate("a mistake")
        found = await setup.differences(case)
    finally:
        await go_on(setup.backend.database)
    assert found == [(0, 0, "workflow_ended", ()), (before + 1, 0, "never_recorded", ())]
    await recover(setup.backend, case.id, "--discard")
    await setup.backend.wait(case, timedelta(seconds=1))


async def test_people_are_told_in_words(setup: Setup, superuser: asyncpg.Connection) -> None:
    length = len(await setup.backend.book.events(setup.closed.id))
    await forge(superuser, setup.closed.id, lambda events: events[:-3])
    answer = await program(setup.backend, "audit", "compare", setup.closed.id)
    assert answer.code == 1
    assert answer.out == (
        f"{setup.closed.id}: events {length - 2} to {length}: each is not in the ledger, which had it\n"
    )
    assert answer.err.startswith("caseladder: the engine and the ledger differ in 1 case; ")


def test_texts_count_only_where_both_have_them() -> None:
    event = {
        "type": "noted", "at": "x", "recorded_at": "x", "actor": {}, "clauses": [], "seq": 1, "data": {"text": "one"},
    }  # fmt: skip
    assert differing(event, event) == ()
    assert differing(event, {**event, "data": {"text": ""}}) == ()
    assert differing({**event, "data": {"text": ""}}, event) == ()
    # One that was never there, and one that was added, are others.
    assert differing(event, {**event, "data": {}}) == ("data.text",)
    assert differing({**event, "data": {}}, event) == ("data",)
    assert differing(event, {**event, "data": {"text": "other"}}) == ("data.text",)
    assert differing(event, {**event, "clauses": ["S1-1"], "type": "x"}) == ("type", "clauses")


def test_a_difference_is_one_sentence() -> None:
    assert str(Difference(0, "no_case")) == "the engine has its workflow, and the ledger no case"
    assert str(Difference(3, "differs", ("at", "data.amount"))) == "event 3 is not what the engine has: at, data.amount"
