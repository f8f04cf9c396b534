"""A key that was used before, through every door: the same case or a conflict, and nothing happens a second time.

The engine forgets what has ended. Here it does at once: a second engine on the same casebook knows none of the cases.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.casebook.open import Openings
from activities.messages import Opened, OpenOrder
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person, Shift
from cases.kinds.summary import month_before
from cases.registry import KINDS
from cases.vocabulary.contract import TASK_QUEUE, refusal_of
from cases.vocabulary.effects import Opening
from cases.vocabulary.events import Event
from cases.vocabulary.refusals import Refused
from starter import client as doors
from starter.client import CaseClient
from starter.embedded.temporal import temporal_binary
from starter.handover import plan_handovers
from starter.summary import file_month
from tests.api.server import STAFF, UNITS, ApiServer, open_api
from tests.cli.program import spawn
from tests.postgres import Cluster, as_writer
from tests.temporal import address, eventually, time_skipping
from tests.workflows.backend import DEFAULT, Backend, Handle, Json, is_about, open_backend
from tests.workflows.test_claims import FACTS as CLAIM
from tests.workflows.test_claims import SHIPMENT, agree, until

pytestmark = pytest.mark.long

MINUTE = timedelta(minutes=1)
MONTH = month_before(DEFAULT.local(datetime.now(UTC)))
AGENT = {"id": "agent-1", "role": "agent"}
KNOWN = (datetime.now(UTC) - MINUTE).isoformat()
# The first intake of each case, and another one under the same key.
USED: Mapping[str, Json] = {
    "claim:K-1": {"key": "K-1", "facts": {**CLAIM, "unit": "north"}},
    "complaint:K-2": {"key": "K-2", "facts": {"unit": "north", "category": "damage", "shipment": SHIPMENT}},
    "inquiry:K-3": {"key": "K-3", "facts": {"unit": "north", "shipment": SHIPMENT, "question": "where"}},
    "exception:K-4": {"key": "K-4", "facts": {"unit": "north", "source": "self_found", "known_at": KNOWN}},
}
# How an engine knows of cases that have ended.
ENGINES = ("closed", "forgotten")
SIGNERS = ("department_manager", "project_manager", "project_manager", "director", "deputy_gm")


def changed(intake: Json) -> Json:
    """Return other content under the same key."""
    other = deepcopy(intake)
    other["facts"]["unit"] = "south"
    return other


@dataclass(frozen=True)
class Used:
    """A backend whose casebook knows keys that were used, with the API before it."""

    backend: Backend
    api: ApiServer
    shift: Shift

    @property
    def client(self) -> CaseClient:
        """A client that can ask the casebook too."""
        return CaseClient(self.backend.env.client, self.backend.book)

    def environment(self) -> dict[str, str]:
        """Return what configures the command line for this backend."""
        return {
            "TEMPORAL_ADDRESS": address(self.backend.env.client),
            "CASELADDER_DATABASE_URL": as_writer(self.backend.database),
            "CASELADDER_DATA": str(self.backend.folder),
        }

    async def state(self) -> Json:
        """Return what may not change when a key is used again: the whole record, and what was sent."""
        tables = ("case_event", "case_file", "case_number", "case_number_given", "case_request", "personal", "payout")
        async with self.backend.book.database.connection() as connection:
            rows = {
                table: [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
                for table in (*tables, "notification")
            }
        return {**rows, "mails": len(self.backend.mails())}

    @asynccontextmanager
    async def unchanged(self, *case_ids: str) -> AsyncIterator[None]:
        """Nothing happens within the block, nor after it: no run of these cases goes on."""
        before = await self.state()
        yield
        for case_id in case_ids:
            listed = self.backend.env.client.list_workflows(f"WorkflowId = '{case_id}' AND ExecutionStatus = 'Running'")
            await eventually(partial(_count, listed), lambda count: count == 0)
        assert await self.state() == before


async def _count(listed: Any) -> int:
    return len([one async for one in listed])


# --- the cases whose keys are used again ------------------------------------------------------------


async def _live(backend: Backend, shift: Shift) -> None:
    """File a case of each kind, and let it end."""
    for case_id, intake in USED.items():
        await backend.client.file(case_id.partition(":")[0], intake)
    claim, complaint, inquiry, exception = map(backend.handle, USED)
    await agree(backend, claim)
    await until(backend, claim, status="resolved")
    await backend.do(claim, "close")
    await backend.do(complaint, "acknowledge")
    await backend.do(complaint, "open_claim")
    opened = backend.handle("claim:K-2-claim")
    await eventually(lambda: backend.timeline(complaint, "opening_done"), lambda done: len(done) == 1)
    for case in (complaint, opened, inquiry, exception):
        await backend.do(case, "withdraw", "customer" if case is not exception else "qa_manager")
    for engine in ENGINES:
        await backend.client.file("claim", {"key": f"K-5-{engine}-claim", "facts": CLAIM})
        await backend.do(backend.handle(f"claim:K-5-{engine}-claim"), "withdraw", "customer")
    await file_month(backend.env.client, MONTH)
    summary = backend.handle(f"summary:{MONTH}")
    for role in SIGNERS:
        await backend.do(summary, "sign", role, text="what it says")
    await plan_handovers(backend.env.client, [shift])
    handover = backend.handle(f"handover:{shift.id}")
    await eventually(lambda: backend.book.case(handover.id), lambda view: view is not None)
    for person in ("out-1", "in-1"):
        await backend.client.command(handover.id, "sign", {"by": {"id": person, "role": "agent"}})
    await backend.wait(handover, 17 * MINUTE)
    await backend.wait(summary, timedelta(days=60))
    for case in (claim, complaint, opened, inquiry, exception, handover, summary):
        assert (await case.result())["status"] == "closed"


STAFF_OF_THE_SHIFT = [Person(id=id_, role="agent", unit="north") for id_ in ("out-1", "in-1")]


@pytest.fixture(scope="module")
async def engines(
    postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mapping[str, Used]]:
    """The engine in which the cases ended, and one that has forgotten them, on one casebook."""
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    end = datetime.now(UTC) + 15 * MINUTE
    shift = Shift(id="S-1", person="out-1", starts_at=end - timedelta(hours=12), ends_at=end)
    night = Shift(id="S-2", person="in-1", starts_at=end, ends_at=end + timedelta(hours=12))
    async with AsyncExitStack() as stack:
        found: dict[str, Used] = {}
        for name in ENGINES:
            env = await stack.enter_async_context(time_skipping())
            backend = await stack.enter_async_context(open_backend(env, database, tmp_path_factory.mktemp(name)))
            if not found:
                changes = DirectoryChanges(backend.book.database)
                people = [*STAFF, *STAFF_OF_THE_SHIFT]
                await changes.replace_people(
                    [one.model_copy(update={"contacts": {"email": f"{one.id}@example.com"}}) for one in people],
                    units=UNITS,
                )
                await changes.replace_shifts([shift, night])
                await _live(backend, shift)
                assert len(backend.mails()) > 10
            found[name] = Used(backend, await stack.enter_async_context(open_api(backend)), shift)
        yield found


@pytest.fixture(params=ENGINES)
def used(request: pytest.FixtureRequest, engines: Mapping[str, Used]) -> Used:
    """Each of the engines."""
    return engines[request.param]


# --- the doors --------------------------------------------------------------------------------------


async def by_client(used: Used, kind: str, intake: Json) -> Json:
    """A program that can ask the casebook."""
    return await used.client.file(kind, intake)


async def by_client_alone(used: Used, kind: str, intake: Json) -> Json:
    """A program that can only ask the engine."""
    return await used.backend.client.file(kind, intake)


async def by_client_that_does_not_wait(used: Used, kind: str, intake: Json) -> Json:
    """A program that hears later what became of it."""
    return await _outcome(used, await used.client.file(kind, intake, wait=False))


async def by_http(used: Used, kind: str, intake: Json) -> Json:
    """A system that uses the API."""
    answer = await used.api.post("gm-1", f"/cases/{kind}", intake)
    said: Json = answer.json()
    if answer.status_code != 200:
        assert answer.status_code == 409, said
        raise Refused(said["code"], said["detail"])
    return said


async def by_command_line(used: Used, kind: str, intake: Json) -> Json:
    """``caseladder file``."""
    given = json.dumps(intake)
    said = await asyncio.to_thread(spawn, "file", kind, "-", "--json", given=given, env=used.environment())
    if said.code == 1:
        raise Refused("conflict" if "filed with other content" in said.refused(1) else "?", said.err)
    view: Json = said.json
    return view


async def by_temporal(used: Used, kind: str, intake: Json) -> Json:
    """``temporal workflow start``, which knows nothing of us."""
    case_id = f"{kind}:{intake['key']}"
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), "workflow", "start", "--address", address(used.backend.env.client),
        "--type", KINDS[kind].WORKFLOW, "--task-queue", TASK_QUEUE, "--workflow-id", case_id,
        "--input", json.dumps(intake), env={"HOME": str(used.backend.folder)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return await _outcome(used, {"id": case_id})


async def _outcome(used: Used, view: Json) -> Json:
    """Return what the run that was started ends with."""
    try:
        ended: Json = await used.backend.handle(view["id"]).result()
    except WorkflowFailureError as error:
        raise refusal_of(error.cause) or error from None
    return ended


Door = Callable[[Used, str, Json], Awaitable[Json]]
DOORS: Mapping[str, Door] = {
    door.__name__: door
    for door in (by_client, by_client_alone, by_client_that_does_not_wait, by_http, by_command_line, by_temporal)
}


@pytest.fixture(params=list(DOORS))
def door(request: pytest.FixtureRequest) -> Door:
    """Each of the doors."""
    return DOORS[request.param]


def gist(view: Json | None) -> tuple[Any, ...]:
    """Return what tells a case from every other one, and how far it has come."""
    assert view is not None
    return view["id"], view["number"], view["status"], view["opened_at"], view["events"]


async def same_or_conflict(used: Used, door: Door, case_id: str, intake: Json) -> None:
    """The same content gives the recorded case, other content a conflict, and nothing else happens."""
    kind = case_id.partition(":")[0]
    recorded = await used.backend.book.case(case_id)
    async with used.unchanged(case_id):
        assert gist(await door(used, kind, intake)) == gist(recorded)
        with pytest.raises(Refused) as caught:
            await door(used, kind, changed(intake))
        assert caught.value.code == "conflict", caught.value


# --- closed, and forgotten ----------------------------------------------------------------------------


async def test_a_used_key_gives_the_same_case_or_a_conflict(used: Used, door: Door) -> None:
    for case_id, intake in USED.items():
        await same_or_conflict(used, door, case_id, intake)


async def test_at_every_door_at_once(used: Used) -> None:
    [(case_id, intake), *_] = USED.items()
    kind = case_id.partition(":")[0]
    async with used.unchanged(case_id):
        # Those that are told by the run that they met; the last run may be one that others have started.
        doors = [by_client, by_client_alone, by_http] * 4
        answers = await asyncio.gather(
            *(door(used, kind, content) for door in doors for content in (intake, changed(intake))),
            return_exceptions=True,
        )
    # Each run ends at once, and some may meet so many in turn that they are told to come again.
    gists = {gist(answer) for answer in answers[0::2] if not isinstance(answer, BaseException)}
    codes = [{getattr(answer, "code", "") for answer in half} for half in (answers[0::2], answers[1::2])]
    assert len(gists) == 1
    assert codes[0] <= {"", "busy"}
    assert {"conflict"} <= codes[1] <= {"conflict", "busy"}


async def test_no_offer_is_made_and_none_is_taken(used: Used) -> None:
    [(case_id, intake), *_] = USED.items()
    await used.client.file("claim", intake)
    async with used.unchanged(case_id):
        for name, fields in (("acknowledge", {}), ("offer", {}), ("accept_offer", {}), ("note", {"text": "x"})):
            with pytest.raises(Refused) as caught:
                await used.client.command(case_id, name, {"by": AGENT, **fields})
            assert caught.value.code == "closed"
        answer = await used.api.do("gm-1", case_id, "offer")
        assert (answer.status_code, answer.json()["code"]) == (409, "closed")


async def test_the_claim_of_a_complaint_meets_one_that_has_closed(used: Used, request: pytest.FixtureRequest) -> None:
    key = f"K-5-{request.node.callspec.params['used']}"
    claim = f"claim:{key}-claim"
    before = gist(await used.backend.book.case(claim))
    complaint = used.backend.handle(f"complaint:{key}")
    facts = {"unit": "north", "category": "damage", "shipment": SHIPMENT}
    await used.client.file("complaint", {"key": key, "facts": facts})
    mails = len(mailed(used, claim))

    await used.backend.do(complaint, "open_claim")

    [done] = await eventually(lambda: used.backend.timeline(complaint, "opening_done"), lambda seen: len(seen) == 1)
    assert done["data"]["outcome"] == "conflict"
    await used.backend.do(complaint, "withdraw", "customer")
    assert (await complaint.result())["status"] == "closed"
    assert gist(await used.backend.book.case(claim)) == before
    assert len(mailed(used, claim)) == mails


def mailed(used: Used, case_id: str) -> list[str]:
    """Return the mails about a case and no other one."""
    return [mail.as_string() for mail in used.backend.mails() if is_about(mail, case_id)]


async def test_an_opening_that_is_done_again_gives_the_same_claim(used: Used) -> None:
    events = await used.backend.book.events("complaint:K-2")
    asked = next(event["seq"] for event in events if event["type"] == "claim_opened")
    case = KINDS["complaint"].replay(DEFAULT, map(Event.from_json, events[:asked]))
    [opening] = [effect for effect in case.owed() if isinstance(effect, Opening)]
    book = used.backend.book
    openings = Openings(book.database, used.client.open)

    async with used.unchanged("claim:K-2-claim"):
        order = OpenOrder(opening.kind, opening.intake, "complaint:K-2")
        assert await ActivityEnvironment().run(openings.open_case, order) == Opened("claim:K-2-claim", False)


async def test_a_month_and_a_shift_are_filed_once(used: Used) -> None:
    client = used.backend.env.client
    async with used.unchanged(f"summary:{MONTH}", f"handover:{used.shift.id}"):
        assert await file_month(client, MONTH) == f"summary:{MONTH}"
        await plan_handovers(client, [used.shift])
        done = await used.backend.handle(f"shift-end:{used.shift.id}").result()
        assert done == {"id": f"handover:{used.shift.id}", "new": False}


# --- ended by an operator -------------------------------------------------------------------------------


async def test_a_case_that_an_operator_terminated_is_answered_from_its_record(
    engines: Mapping[str, Used], door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each command below would wait for seconds that somebody brings the case back.
    monkeypatch.setattr(doors, "PAUSES", (0.1,))
    used = engines["closed"]
    intake = {"key": f"T-{door.__name__}", "facts": USED["inquiry:K-3"]["facts"]}
    case = used.backend.handle(f"inquiry:{intake['key']}")
    await used.client.file("inquiry", intake)
    await eventually(lambda: used.backend.timeline(case, "notified"), lambda told: len(told) > 0)
    await used.backend.recorded(case)
    await case.terminate()

    await nothing_works(used, case, used.client, used.backend.client)
    await door(used, "inquiry", intake)
    await nothing_works(used, case, used.client, used.backend.client)
    await same_or_conflict(used, door, case.id, intake)
    await nothing_works(used, case, used.client)


async def nothing_works(used: Used, case: Handle, *clients: CaseClient) -> None:
    """Commands to a case without a workflow say so, at every door."""
    async with used.unchanged(case.id):
        for client in clients:
            with pytest.raises(Refused, match=f"caseladder recover {case.id}") as caught:
                await client.command(case.id, "note", {"by": AGENT, "text": "x"})
            assert caught.value.code == "workflow_missing"
            with pytest.raises(Refused) as caught:
                await client.signal(case.id, "acknowledge", {"by": AGENT})
            assert caught.value.code == "workflow_missing"
        answer = await used.api.do("gm-1", case.id, "note", {"text": "x"})
        assert answer.json()["code"] == "workflow_missing"
