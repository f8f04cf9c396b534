"""Payloads that are encrypted: what the engine keeps of a life, plain clients, rotation, a key that is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from cases.vocabulary.contract import TASK_QUEUE
from cases.vocabulary.refusals import Refused
from starter import client
from starter.client import CaseClient
from starter.encryption import Keyring, data_converter, new_key, read_keyring
from starter.recovery import compare, recovery
from tests.postgres import Cluster
from tests.temporal import eventually, task_failures, time_skipping
from tests.workflows.backend import Handle, Json
from tests.workflows.disasters import Installation, program, recover
from tests.workflows.test_claims import FACTS, SHIPMENT, agree, until
from workflows.registry import RUNNER, case_workflows

OLD, NEW, FOREIGN = new_key("old"), new_key("new"), new_key("foreign")
# What must be readable nowhere; each stands somewhere else in a life.
NAME, PHONE, WORDS, NOTE, REQUEST = "Wang Gezeichnet", "13899990000", "the vase broke", "she called again", "rid-marked"
CUSTOMER = {"name": NAME, "phone": PHONE}
# After which a task that failed again is tried again.
SOON = timedelta(seconds=1)
REFUSED = "was used with other content"


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server of these tests, whose client has both keys; the old one encrypts."""
    async with time_skipping(converter=data_converter(read_keyring(f"{OLD},{NEW}"))) as made:
        yield made


@pytest.fixture(scope="module")
def installation(postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Casebooks of these tests, and folders of their workers."""
    return Installation(postgres, casebook_template, tmp_path_factory.mktemp("encrypted"))


@pytest.fixture(scope="module")
async def database(installation: Installation) -> str:
    """The casebook of all of them, since an engine with cases that a casebook lacks makes that one wait."""
    return await installation.casebook()


def with_keys(env: WorkflowEnvironment, *keys: str) -> WorkflowEnvironment:
    """The same server for somebody who has other keys, or none."""
    given: dict[str, Any] = {**env.client.config()}
    given["data_converter"] = data_converter(read_keyring(",".join(keys)) if keys else Keyring())
    return WorkflowEnvironment.from_client(Client(**given))


def plain(env: WorkflowEnvironment) -> Client:
    """A client that knows nothing of us."""
    return Client(env.client.service_client, data_converter=pydantic_data_converter)


def payloads(message: Message) -> Iterator[Payload]:
    """Every payload in a message, but those of search attributes and of the SDK's own markers."""
    if isinstance(message, Payload):
        yield message
    if isinstance(message, (Payload, SearchAttributes, MarkerRecordedEventAttributes)):
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = [value[key] for key in value]
        else:
            inner = [*value] if isinstance(value, (list, tuple)) or hasattr(value, "__len__") else [value]
        for one in inner:
            if isinstance(one, Message):
                yield from payloads(one)


async def kept(client: Client, id: str) -> list[Any]:
    """All events of the last run of a case, as the engine keeps them."""
    return [event async for event in client.get_workflow_handle(id).fetch_history_events()]


@pytest.mark.long
async def test_a_life_shows_the_engine_nothing(
    env: WorkflowEnvironment, installation: Installation, database: str
) -> None:
    async with installation.running(env, database) as backend:
        shipment = {**SHIPMENT, "waybill": "W-77"}
        # Its key is the one that the complaint will want for its claim.
        facts = {**FACTS, "shipment": shipment, "customer": CUSTOMER, "description": WORDS}
        await backend.client.file("claim", {"key": "e-1-claim", "facts": facts})
        told = {"category": "damage", "shipment": shipment, "customer": CUSTOMER, "description": WORDS}
        complaint = await backend.start(
            "Complaint", {"key": "e-1", "facts": told}, id="complaint:e-1",
            memo={"of": NAME}, static_summary=NAME, static_details=WORDS,
        )  # fmt: skip
        claim = backend.handle("claim:e-1-claim")

        await backend.do(complaint, "acknowledge", request_id=REQUEST)
        with pytest.raises(Refused) as caught:
            await backend.do(complaint, "note", text=NOTE, request_id=REQUEST)
        assert (caught.value.code, REFUSED in caught.value.message) == ("request_id_reused", True)
        await complaint.signal("escalate", {"by": {"id": "agent-1", "role": "agent"}, "reason": NOTE})
        # Another claim has its key: the activity fails, and the case hears of it by the type of the failure.
        await backend.do(complaint, "open_claim", "supervisor")
        [done] = await eventually(lambda: backend.timeline(complaint, "opening_done"), bool)
        assert done["data"]["outcome"] == "conflict"
        await backend.do(complaint, "resolve", "supervisor", summary=NOTE)
        await backend.do(complaint, "close", "supervisor")
        assert (await complaint.result())["status"] == "closed"

        await agree(backend, claim)
        await until(backend, claim, status="resolved")
        await backend.do(claim, "close")
        await claim.result()
        for case in (complaint, claim):
            await backend.recorded(case)
        # The ledger is as it was: its texts stand in tables of their own.
        assert await backend.book.personal(claim.id) == {"customer": CUSTOMER, "description": WORDS}

    marks = (NAME, PHONE, WORDS, NOTE, REQUEST, REFUSED, "was filed with other content", "casebook/open.py")
    clear = b""
    for id in (complaint.id, claim.id):
        events = await kept(env.client, id)
        found = [*events, (await env.client.get_workflow_handle(id).describe()).raw_description]
        for message in found:
            for mark in marks:
                assert mark.encode() not in message.SerializeToString(), (mark, message)
            for payload in payloads(message):
                assert payload.metadata["encoding"] == b"binary/encrypted", message
                assert payload.metadata["encryption-key-id"] == b"old"
        codec = env.client.data_converter.payload_codec
        assert codec is not None
        everything = [payload for message in found for payload in payloads(message)]
        assert len(everything) > 20
        clear += b"".join(payload.data for payload in await codec.decode(everything))
        replayer = Replayer(
            workflows=case_workflows(), workflow_runner=RUNNER, data_converter=data_converter(read_keyring(OLD))
        )
        await replayer.replay_workflow(WorkflowHistory(id, events))
    for mark in (NAME, PHONE, WORDS, NOTE, REQUEST, REFUSED, "was filed with other content", "casebook/open.py"):
        assert mark.encode() in clear, mark
    description = await env.client.get_workflow_handle(complaint.id).describe()
    assert (await description.memo())["of"] == NAME


async def test_a_plain_client_is_taken_and_cannot_read_the_answers(
    env: WorkflowEnvironment, installation: Installation, database: str
) -> None:
    by = {"by": {"id": "agent-7", "role": "agent"}}
    async with installation.running(env, database) as backend:
        outsider = plain(env)
        intake = {"key": "p-1", "facts": {"category": "delay"}}
        case: Handle = await outsider.start_workflow("Complaint", intake, id="complaint:p-1", task_queue=TASK_QUEUE)
        # It is done, and the answer is for whoever has the keys.
        with pytest.raises(Exception, match="binary/encrypted"):
            await case.execute_update("acknowledge", by, id="u-1")
        await case.signal("escalate", {**by, "reason": "angry"})
        ours = backend.handle(case.id)
        view = await eventually(lambda: ours.query("case"), lambda view: bool(view["rung"] == "supervisor"))
        assert view["status"] == "open"
        # Somebody who files it again with the keys meets the same case, and other content is a conflict.
        assert (await backend.client.file("complaint", intake))["id"] == case.id
        # What is encrypted with a key of nobody's is refused like anything that is no JSON.
        junk = RawValue(Payload(metadata={"encoding": b"binary/encrypted"}, data=b"?"))
        await case.signal("escalate", junk)
        [refused] = await eventually(lambda: backend.timeline(ours, "command_refused"), bool)
        assert refused["data"]["code"] == "invalid"
        assert await task_failures(env.client, case.id) == []


async def test_keys_are_rotated_while_a_case_lives(
    env: WorkflowEnvironment, installation: Installation, database: str
) -> None:
    """First every process gets the new key behind the old one, then before it, and in the end the old one goes."""

    async def used(case: Handle) -> set[bytes]:
        events = await kept(env.client, case.id)
        return {payload.metadata["encryption-key-id"] for event in events for payload in payloads(event)}

    async with installation.running(with_keys(env, OLD), database) as before:
        case = await before.file()
        await before.recorded(case)
    async with installation.running(with_keys(env, OLD, NEW), database) as both:
        # Somebody is further along than this worker.
        ahead = CaseClient(with_keys(env, NEW, OLD).client)
        await ahead.command(case.id, "acknowledge", {"by": {"id": "agent-1", "role": "agent"}})
        await both.recorded(case)
        assert await used(case) == {b"old", b"new"}
    async with installation.running(with_keys(env, NEW, OLD), database) as after:
        new = await after.file()
        case = after.handle(case.id)
        await after.do(case, "note", text="taken with both keys")
        await after.recorded(case)
        await after.recorded(new)
        assert await used(new) == {b"new"}
    async with installation.running(with_keys(env, NEW), database) as last:
        await last.do(new, "note", text="nothing of it needs the old key")


async def test_a_worker_without_the_keys_refuses_nothing_and_says_what_is_missing(
    env: WorkflowEnvironment, installation: Installation, database: str
) -> None:
    async with installation.running(with_keys(env), database):
        intake = {"key": "k-1", "facts": {"category": "delay"}}
        case: Handle = await env.client.start_workflow(
            "Complaint", intake, id="complaint:k-1", task_queue=TASK_QUEUE, task_timeout=SOON
        )
        [failure, *_] = await eventually(lambda: task_failures(env.client, case.id), bool)
        assert "a payload is encrypted with the key old, which this process does not have" in failure
        assert "add it to CASELADDER_PAYLOAD_KEYS (there: none)" in failure
        assert (await case.describe()).status is WorkflowExecutionStatus.RUNNING
    async with installation.running(env, database) as backend:
        assert (await until(backend, case, status="open"))["id"] == case.id
        await backend.recorded(case)


async def test_a_command_that_the_worker_cannot_read_is_refused_and_stops_no_ladder(
    env: WorkflowEnvironment, installation: Installation, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client was given the new key before the workers: it hears so, and nothing waits for it."""
    monkeypatch.setattr(client, "PAUSES", (0.1,))
    async with installation.running(env, database) as backend:
        case = await backend.file()
        before = await backend.recorded(case)
        early = CaseClient(with_keys(env, FOREIGN, OLD, NEW).client)
        acknowledge = {"by": {"id": "agent-7", "role": "agent"}}
        key = case.id.partition(":")[2]
        for send in (
            early.command(case.id, "acknowledge", acknowledge),
            early.file("complaint", {"key": key, "facts": {"category": "delay"}}),
        ):
            with pytest.raises(Refused) as caught:
                await send
            assert caught.value.code == "key_missing"
            assert "the key foreign" in caught.value.message
        assert await backend.timeline(case) == before
        assert (await backend.do(case, "acknowledge"))["acknowledged"]
        assert await task_failures(env.client, case.id) == []


@pytest.mark.long
async def test_a_signal_that_no_worker_can_read_waits_for_its_key_or_is_refused_by_a_recovery(
    env: WorkflowEnvironment, installation: Installation, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written already, and may be good: whoever has the key applies it, and an operator can do without."""
    # How long a run is waited for that does not answer, and how long before a second look.
    monkeypatch.setattr(recovery, "PATIENCE", SOON)
    monkeypatch.setattr(compare, "LOOK_AGAIN", 0.1)
    escalate = {"by": {"id": "agent-7", "role": "agent"}, "reason": "angry"}
    early = with_keys(env, FOREIGN).client
    async with installation.running(env, database) as backend:
        cases = []
        for key in ("s-1", "s-2"):
            intake = {"key": key, "facts": {"category": "delay"}}
            cases.append(await backend.start("Complaint", intake, id=f"complaint:{key}", task_timeout=SOON))
        waits, lost = cases
        for case in cases:
            await backend.recorded(case)
            await early.get_workflow_handle(case.id).signal("escalate", escalate)
            await eventually(lambda id=case.id: task_failures(env.client, id), bool)  # type: ignore[misc]
        code, done = await recover(backend, lost.id, CASELADDER_PAYLOAD_KEYS=f"{OLD},{NEW}")
        assert (code, [one["restarted"] for one in done["cases"]]) == (0, [True])
        [refused] = await eventually(lambda: backend.timeline(lost, "command_refused"), bool)
        assert refused["data"]["code"] == "invalid"
        # Without the keys a recovery reads nothing, says why, and changes nothing.
        code, done = await recover(backend, lost.id)
        assert code == 1
        [one] = done["cases"]
        assert (one["restarted"], "the key old" in one["why_not"]) == (False, True), one
        compared = await program(backend, "audit", "compare", lost.id)
        assert compared.code == 1
        assert "encrypted with a key that CASELADDER_PAYLOAD_KEYS does not have" in compared.out
        compared = await program(backend, "audit", "compare", lost.id, CASELADDER_PAYLOAD_KEYS=f"{NEW},{OLD}")
        assert compared.code == 0, compared.out
    async with installation.running(with_keys(env, OLD, NEW, FOREIGN), database) as backend:

        def has_climbed(events: list[Json]) -> bool:
            return any(event["type"] == "escalated" for event in events)

        await eventually(lambda: backend.book.events(waits.id), has_climbed)
