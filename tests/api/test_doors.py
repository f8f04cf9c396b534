"""What a client is told of a case that its workflow does not answer for: closed, lost, or with too much to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.refusals import failure
from cases.vocabulary.contract import TASK_QUEUE
from cases.vocabulary.refusals import Refused
from starter import client as doors
from starter.client import CaseClient
from starter.connection import QUICK, silent
from tests.api.server import ApiServer, intake, new_key, open_api, problem
from tests.temporal import address, eventually
from tests.workflows.backend import Backend, Json

AGENT = {"id": "agent-n", "role": "agent"}
NOTE = {"by": AGENT, "text": "hello?"}


def knowing(api: ApiServer) -> CaseClient:
    """Return a client that can ask the ledger."""
    return CaseClient(api.backend.env.client, api.services.casebook)


async def close(api: ApiServer, case_id: str) -> None:
    """End a case, and wait until its workflow has."""
    assert (await api.do("super-n", case_id, "withdraw")).status_code == 200
    await api.backend.handle(case_id).result()


def forgetful(api: ApiServer) -> CaseClient:
    """Return a client that can ask the ledger, of an engine that knows no case: a namespace that there is not."""
    client = api.backend.env.client
    elsewhere = Client(client.service_client, namespace="lost", data_converter=client.data_converter)
    return CaseClient(elsewhere, api.services.casebook)


async def code_of(client: CaseClient, case_id: str) -> str:
    """Return the code by which a note is refused."""
    with pytest.raises(Refused) as refused:
        await client.command(case_id, "note", NOTE)
    return refused.value.code


async def test_a_closed_case_is_answered_from_the_ledger(api: ApiServer) -> None:
    """By a client of an engine that still has its run, and of one that has forgotten it."""
    case_id = await api.file()
    await close(api, case_id)
    recorded = await api.services.casebook.events(case_id)

    for client in (knowing(api), forgetful(api)):
        assert (await client.case(case_id))["status"] == "closed"
        assert await client.timeline(case_id) == recorded
        assert {one["state"] for one in await client.explain(case_id)} <= {"met", "cancelled", "breached"}
        assert await code_of(client, case_id) == "closed"
        with pytest.raises(Refused, match="the case is closed"):
            await client.signal(case_id, "acknowledge", {"by": AGENT})
    problem(await api.do("agent-n", case_id, "note", {"text": "x"}), 409, "closed")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client try again for no more than a moment."""
    monkeypatch.setattr(doors, "PAUSES", (0.05, 0.1))


@pytest.mark.usefixtures("hasty")
async def test_a_case_whose_workflow_is_gone_says_what_to_do(api: ApiServer) -> None:
    case_id, key = await api.file(), {"Idempotency-Key": new_key()}
    # What is under way when the run ends would still be recorded.
    case = api.backend.handle(case_id)
    await eventually(lambda: api.backend.timeline(case, "notified"), lambda told: len(told) >= 2)
    await eventually(lambda: case.query("case"), lambda view: view["recorded"] == view["events"])
    await case.terminate("by an operator")
    view = await api.recorded(case_id)

    for client in (knowing(api), forgetful(api)):
        assert await code_of(client, case_id) == "workflow_missing"
        assert (await client.case(case_id))["events"] == view["events"]
        assert (await client.timeline(case_id))[0]["type"] == "case_opened"
        assert "running" in {one["state"] for one in await client.explain(case_id)}
        with pytest.raises(Refused, match="caseladder recover"):
            await client.signal(case_id, "acknowledge", {"by": AGENT})
    answer = await api.do("agent-n", case_id, "note", {"text": "x"}, headers=key)
    assert "caseladder recover" in problem(answer, 409, "workflow_missing")["detail"]
    # The answer was not kept for the key: the request is worth another try.
    async with api.services.database.connection() as connection:
        kept = await connection.fetchval("SELECT status FROM door_answer WHERE key = $1", key["Idempotency-Key"])
    assert kept is None


async def test_a_case_that_nobody_knows(api: ApiServer) -> None:
    client = knowing(api)
    for ask in (client.case, client.timeline, client.explain):
        with pytest.raises(Refused) as refused:
            await ask("complaint:nowhere")
        assert refused.value.code == "not_found"
    assert await code_of(client, "complaint:nowhere") == "not_found"


async def test_a_refused_intake_is_shown_as_such(api: ApiServer) -> None:
    sent = {"key": new_key(), "policy": "nope", "facts": {"category": "delay"}}
    handle = await api.backend.start("Complaint", sent, id=f"complaint:{sent['key']}")
    client = knowing(api)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    view = await client.case(handle.id)
    assert (view["status"], view["refusal"]["code"]) == ("refused", "unknown_policy")
    assert await client.timeline(handle.id) == await client.explain(handle.id) == []


# --- filing again ---------------------------------------------------------------------------------


async def test_an_open_case_is_met_or_contradicted(api: ApiServer) -> None:
    sent, client = intake(), api.backend.client
    view, new = await client.open("complaint", sent)
    assert new
    again, new = await client.open("complaint", sent)
    assert (again["id"], again["opened_at"], new) == (view["id"], view["opened_at"], False)
    other = {**sent, "facts": {**sent["facts"], "category": "damage"}}
    with pytest.raises(Refused) as refused:
        await client.open("complaint", other)
    assert refused.value.code == "conflict"
    with pytest.raises(Refused) as refused:
        await client.file("complaint", other, wait=False)
    assert refused.value.code == "conflict"
    assert await client.file("complaint", sent, wait=False) == {"id": view["id"], "status": "opening"}
    problem(await api.post("gm-1", "/cases/complaint", other), 409, "conflict")


async def test_a_closed_case_is_met_or_contradicted(api: ApiServer) -> None:
    sent, client = intake(), api.backend.client
    view, _ = await client.open("complaint", sent)
    case_id = view["id"]
    await api.recorded(case_id)
    await close(api, case_id)
    before, mails = await api.services.casebook.events(case_id), len(api.backend.mails())
    other = {**sent, "facts": {**sent["facts"], "category": "damage"}}

    found, new = await client.open("complaint", sent)
    assert (found["id"], found["status"], new) == (case_id, "closed", False)
    assert (await api.post("gm-1", "/cases/complaint", sent)).json()["status"] == "closed"
    with pytest.raises(Refused) as refused:
        await client.open("complaint", other)
    assert refused.value.code == "conflict"
    problem(await api.post("gm-1", "/cases/complaint", other), 409, "conflict")
    # Nobody waits for what becomes of these.
    for content in (sent, other):
        assert await client.file("complaint", content, wait=False) == {"id": case_id, "status": "opening"}
        with suppress(WorkflowFailureError):
            await api.backend.handle(case_id).result()
    assert await api.services.casebook.events(case_id) == before
    assert len(api.backend.mails()) == mails


# --- too much at once -----------------------------------------------------------------------------


async def test_sixty_commands_at_once_on_one_case_are_all_taken(api: ApiServer) -> None:
    case_id = await api.file()
    texts = [f"note {number}" for number in range(60)]
    answers = await asyncio.gather(*(api.do("agent-n", case_id, "note", {"text": text}) for text in texts))
    assert {answer.status_code for answer in answers} == {200}
    noted = [event["data"]["text"] for event in await knowing(api).timeline(case_id) if event["type"] == "noted"]
    assert sorted(noted) == sorted(texts)
    assert await failed_tasks(api.backend.handle(case_id)) == 0
    # Nothing is kept of a case that nobody sends to.
    assert api.services.cases._turns._queues == {}


async def failed_tasks(handle: WorkflowHandle[Any, Any]) -> int:
    """Count the failed workflow tasks of the case's last run."""
    events = (await handle.fetch_history()).events
    return sum(event.HasField("workflow_task_failed_event_attributes") for event in events)


@asynccontextmanager
async def full(backend: Backend, case_id: str) -> AsyncIterator[None]:
    """Keep as many updates of a case in flight as the engine takes; nobody works on it."""
    client = backend.env.client
    handle = await client.start_workflow("Complaint", {}, id=case_id, task_queue=f"{TASK_QUEUE}-of-nobody")
    held = [asyncio.create_task(handle.execute_update("note", NOTE)) for _ in range(10)]
    try:
        # Until the engine has them all, one more would be taken.
        await asyncio.sleep(0.5)
        yield
    finally:
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        await handle.terminate()


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
async def test_what_other_processes_send_is_told_as_busy(
    backend: Backend, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "TURN", 1)
    case_id, sent = await api.file(), {"text": "x"}
    await api.recorded(case_id)
    await backend.handle(case_id).terminate()
    client = await Client.connect(
        address(backend.env.client), data_converter=pydantic_data_converter, retry_config=QUICK, runtime=silent()
    )
    async with full(backend, case_id), open_api(backend, client=client) as other:
        with pytest.raises(Refused) as refused:
            await CaseClient(client).command(case_id, "note", NOTE)
        assert (refused.value.code, "retry" in refused.value.message) == ("busy", True)
        answer = await other.do("agent-n", case_id, "note", sent, headers={"Idempotency-Key": "busy-1"})
        problem(answer, 429, "busy")
        assert int(answer.headers["retry-after"]) > 0
    # It was not the answer for good.
    answer = await api.do("agent-n", case_id, "note", sent, headers={"Idempotency-Key": "busy-1"})
    problem(answer, 409, "workflow_missing")


async def test_turns_come_in_order_and_not_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "TURN", 0.2)
    turns, came, go = doors.Turns(), list[int](), asyncio.Event()

    async def take(number: int) -> None:
        async with turns.of("complaint:1"):
            came.append(number)
            await go.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(doors.IN_FLIGHT + 2)]
    with pytest.raises(Refused) as refused:
        await tasks[-1]
    assert refused.value.code == "busy"
    assert came == list(range(doors.IN_FLIGHT))
    # Another case does not wait for this one.
    async with turns.of("complaint:2"):
        pass
    # Who gives up waiting leaves no trace.
    waiting = asyncio.create_task(take(99))
    await asyncio.sleep(0)
    waiting.cancel()
    go.set()
    await asyncio.gather(*tasks, waiting, return_exceptions=True)
    assert turns._queues == {}


async def test_a_request_that_was_told_busy_is_another_update_the_next_time(backend: Backend) -> None:
    """The engine repeats the answer to an update id, so a refusal that has passed must not stand under it."""
    told: list[str] = []

    class Busy:
        async def execute_update(self, name: str, body: Json, *, id: str) -> Json:
            told.append(id)
            if len(told) < 3:
                raise WorkflowUpdateFailedError(failure(Refused("busy", "later")))
            return {"id": "complaint:1"}

    class Doubled(CaseClient):
        def _handle(self, case_id: str) -> Any:
            return Busy()

    body = {**NOTE, "request_id": "r-1"}
    assert await Doubled(backend.env.client).command("complaint:1", "note", body) == {"id": "complaint:1"}
    assert len(set(told)) == 3
