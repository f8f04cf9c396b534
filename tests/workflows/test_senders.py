"""Commands that say who sent them: on a worker that asks for proof, a plain client is nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Replayer

from activities.attachments.book import Attachments
from activities.audit.everything import Everything
from activities.audit.keys import new_key
from activities.casebook.open import Openings
from activities.casebook.texts import commitment
from activities.database.database import Database
from activities.messages import Batch, OpenOrder, PayoutOrder
from activities.policies.store import Policies
from activities.replies.handle import Letters
from activities.replies.inbox import Inbox
from activities.replies.incoming import Incoming
from activities.senders.gate import GATE, LOOK_AGAIN, Mode, guarding
from activities.senders.key_set import ANY, entry, read_key_set
from activities.senders.sign import Signer
from cases.kinds.claim_models import Agreed
from cases.mechanisms.payment import PayoutRequested
from cases.policy.model import Policy
from cases.policy.tables import IncomingRule
from cases.registry import KINDS
from cases.vocabulary.commands import read_command
from cases.vocabulary.contract import RECORD_AGAIN, refusal_of
from cases.vocabulary.effects import Payment
from cases.vocabulary.events import SYSTEM, Actor
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from starter.payouts import payouts_of
from starter.settings import Settings
from tests.activities.ledger import behind_the_back
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import DEFAULT, Backend, Handle, Json, open_backend
from tests.workflows.test_claims import FACTS, SHIPMENT, _case
from workflows.recording import Known, end_of_call
from workflows.registry import RUNNER, case_workflows
from workflows.shell import Shell

AGENT = {"id": "agent-1", "role": "agent"}
GM = {"id": "gm-1", "role": "general_manager"}
MODES: tuple[Mode, ...] = ("open", "signed", "open", "signed")
SINCE = "signed_since = 2020-01-01T00:00:00+08:00\n"


@dataclass(frozen=True)
class Signing:
    """A worker that asks for proof, the key of a server, and a client that signs with it."""

    backend: Backend
    server: Signer
    senders: Path

    @property
    def client(self) -> CaseClient:
        """A client that signs for everybody."""
        return CaseClient(self.backend.env.client, self.backend.book, self.server)

    async def file(self, kind: str = "complaint", **facts: Any) -> Handle:
        """File a case with a signature."""
        key = uuid4().hex[:12]
        await self.client.file(kind, {"key": key, "by": AGENT, "facts": facts or {"category": "delay"}})
        return self.backend.handle(f"{kind}:{key}")

    async def do(self, case: Handle, command: str, by: Json = AGENT, **fields: Any) -> Json:
        """Send a command with a signature."""
        return await self.client.command(case.id, command, {"by": by, **fields})

    async def faults(self, case: Handle, *, settled: bool = True) -> list[str]:
        """Wait until the ledger has a case, and return what an audit finds."""
        if settled:
            await self.backend.recorded(case)
        async with Database.open(self.backend.database) as database:
            senders = read_key_set(self.senders)
            done = await Everything(database, second_look=0, senders=senders).verify(case.id)
        return [str(fault) for fault in done.faults]


@pytest.fixture(scope="module")
async def demanding(
    postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Signing]:
    """A backend that asks for proof."""
    folder = tmp_path_factory.mktemp("demanding")
    server, senders = Signer(folder / "server.pem"), folder / "senders.toml"
    senders.write_text(SINCE + entry(new_key(server.file), ANY, [ANY]), "utf-8")
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with (
        time_skipping() as env,
        open_backend(env, database, folder, commands="signed", senders=senders, sender_key=server.file) as backend,
    ):
        yield Signing(backend, server, senders)


@pytest.fixture
def signing(demanding: Signing) -> Iterator[Signing]:
    """The same, with the key set and the key that it had before."""
    kept = {file: file.read_bytes() for file in (demanding.senders, demanding.server.file)}
    keys = GATE.keys
    yield demanding
    for file, content in kept.items():
        file.write_bytes(content)
    GATE.keys = keys


@pytest.fixture
async def superuser(demanding: Signing) -> AsyncIterator[asyncpg.Connection]:
    """Who may do anything behind the back of the product."""
    connection = await asyncpg.connect(demanding.backend.database)
    yield connection
    await connection.close()


async def refused(client: CaseClient, case_id: str, command: str, body: Json) -> str:
    """Send a command that is refused for want of a proof, and return why."""
    with pytest.raises(Refused) as error:
        await client.command(case_id, command, body)
    assert error.value.code == "unsigned", error.value
    return error.value.message


# --- updates --------------------------------------------------------------------------------------


async def test_a_plain_client_is_nobody(signing: Signing, caplog: pytest.LogCaptureFixture) -> None:
    """The attack: an override of 500,000.00 as the general manager, by whoever reaches the port."""
    claim = await signing.file("claim", **{**FACTS, "shipment": {**SHIPMENT, "waybill": uuid4().hex}})
    await signing.do(claim, "acknowledge")
    before = await signing.backend.recorded(claim)
    override = {"amount": "500000.00", "reason": "pay him"}

    said = await refused(
        signing.backend.client, claim.id, "assess", {"by": GM, "cause": "company", "override": override}
    )

    assert said == "proof is missing: commands are signed here (docs/operations.md)"
    # Notices may have gone out meanwhile.
    after = await signing.backend.timeline(claim)
    assert [one for one in after if one["type"] != "notified"] == [one for one in before if one["type"] != "notified"]
    assert "an unsigned command was refused" in caplog.text
    assert await signing.faults(claim) == []


async def test_a_signed_command_is_taken_and_its_proof_stands_with_its_events(signing: Signing) -> None:
    case = await signing.file(category="delay", customer={"name": "Zhang San", "phone": "13800000000"})
    await signing.do(case, "acknowledge")
    await signing.do(case, "note", text="Called the depot.")

    assert await signing.faults(case) == []
    async with Database.open(signing.backend.database) as database, database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM case_proof WHERE case_id = $1 ORDER BY seq", case.id)
        texts = await connection.fetch("SELECT * FROM case_text WHERE case_id = $1", case.id)
    assert [row["body"].count('"command":"note"') for row in rows] == [0, 0, 1]
    assert not any(said in row["body"] for row in rows for said in ("Called", "Zhang", "13800000000"))
    # The ledger commits to the text as its sender did, so that the proof is of it also after the text is erased.
    [note] = [row for row in texts if row["text"] == "Called the depot."]
    assert commitment(note["salt"], note["text"])["commitment"] in rows[-1]["body"]


async def test_what_was_signed_counts_once_and_for_one_case(signing: Signing) -> None:
    case, other = await signing.file(), await signing.file()
    plain, body = signing.backend.client, signing.server.command(case.id, "note", {"by": AGENT, "text": "once"})

    await plain.command(case.id, "note", body)
    await plain.command(case.id, "note", body)

    assert len(await signing.backend.timeline(case, "noted")) == 1
    assert "signature" in await refused(plain, other.id, "note", body)
    for change in ({"text": "twice"}, {"by": GM}, {"request_id": "another"}):
        assert "signature" in await refused(plain, case.id, "note", {**body, **change})
    assert len(await signing.backend.timeline(case, "noted")) == 1


async def test_a_command_may_come_again_with_a_new_proof(signing: Signing) -> None:
    case = await signing.file()
    for _ in range(2):
        await signing.do(case, "note", text="once", request_id="r-1")

    assert len(await signing.backend.timeline(case, "noted")) == 1
    with pytest.raises(Refused, match="used with other content"):
        await signing.do(case, "note", text="twice", request_id="r-1")


async def test_a_person_signs_for_themselves_and_for_nobody_else(signing: Signing, tmp_path: Path) -> None:
    person = Signer(tmp_path / "gm.pem")
    lines = entry(new_key(person.file), GM["id"], [GM["role"]])
    signing.senders.write_text(signing.senders.read_text() + lines, "utf-8")
    case, plain = await signing.file(), signing.backend.client
    await asyncio.sleep(LOOK_AGAIN + 0.5)

    await plain.command(case.id, "note", person.command(case.id, "note", {"by": GM, "text": "seen"}))

    forged = person.command(case.id, "note", {"by": AGENT, "text": "seen"})
    assert await refused(plain, case.id, "note", forged) == (
        f"proof: key = {person.keys().id!r} may not sign for agent-1 as agent"
    )
    assert await signing.faults(case) == []


@pytest.mark.long
async def test_keys_rotate_without_a_pause_and_old_proofs_stay(signing: Signing) -> None:
    case = await signing.file()
    old = signing.server.keys().id
    before = signing.server.command(case.id, "note", {"by": AGENT, "text": "under the old key"})
    await signing.backend.client.command(case.id, "note", before)
    # First the new key becomes known, then the server signs with it, then the old one ends.
    lines = signing.senders.read_text()
    keys = new_key(signing.server.file)
    signing.senders.write_text(f"{lines}until = {datetime.now(UTC).isoformat()}\n{entry(keys, ANY, [ANY])}", "utf-8")
    await asyncio.sleep(LOOK_AGAIN + 0.5)

    await signing.do(case, "note", text="under the new key")

    assert signing.server.keys().id != old
    assert GATE.keys is not None
    assert {old, signing.server.keys().id} == set(GATE.keys.senders)
    assert await signing.faults(case) == []


@pytest.mark.long
async def test_half_a_key_set_turns_nobody_away(signing: Signing) -> None:
    case = await signing.file()
    signing.senders.write_text("[[sender", "utf-8")
    await asyncio.sleep(LOOK_AGAIN + 0.5)

    await signing.do(case, "acknowledge")


# --- filings --------------------------------------------------------------------------------------


async def test_an_unsigned_filing_opens_no_case(signing: Signing) -> None:
    key = uuid4().hex
    intake: Json = {"key": key, "by": AGENT, "facts": {"category": "delay"}}
    plain = signing.backend.client

    with pytest.raises(Refused) as error:
        await plain.file("complaint", intake)

    assert error.value.code == "unsigned"
    assert await signing.backend.book.case(f"complaint:{key}") is None
    started = await signing.backend.start("Complaint", intake, id=f"complaint:{key}")
    with pytest.raises(WorkflowFailureError) as failed:
        await started.result()
    refusal = refusal_of(failed.value.cause)
    assert refusal is not None
    assert refusal.code == "unsigned"
    # Nor with the signature of another intake.
    signed = signing.server.intake("complaint", intake)
    with pytest.raises(Refused, match="signature"):
        await plain.file("complaint", {**signed, "facts": {"category": "damage"}})
    # The key is still free for who may file.
    view = await plain.file("complaint", signed)
    assert view["status"] == "open"
    assert await signing.faults(signing.backend.handle(view["id"])) == []


@pytest.mark.parametrize("parent", [None, "the complaint"])
async def test_a_worker_signs_no_filing_that_no_record_asks_for(signing: Signing, parent: str | None) -> None:
    """The attack: whoever reaches Temporal has our own activity file a claim, which signs for anybody."""
    complaint = await signing.file(category="damage", shipment={**SHIPMENT, "waybill": uuid4().hex})
    await signing.backend.recorded(complaint)
    facts = {**FACTS, "shipment": {**SHIPMENT, "waybill": uuid4().hex}}
    key = f"{complaint.id.partition(':')[2]}-claim"
    order = OpenOrder("claim", {"key": key, "by": GM, "facts": facts}, complaint.id if parent else None)
    openings = Openings(signing.backend.book.database, signing.client.open)

    with pytest.raises(ApplicationError, match="no record asks for this case"):
        await ActivityEnvironment().run(openings.open_case, order)

    assert await signing.backend.book.case(f"claim:{key}") is None


# --- signals --------------------------------------------------------------------------------------


async def test_signals_are_checked_before_they_apply(signing: Signing) -> None:
    case = await signing.file()

    await case.signal("escalate", {"by": GM, "reason": "forged"})
    await case.signal("escalate", signing.server.command(case.id, "escalate", {"by": AGENT, "reason": "angry"}))
    await case.signal("acknowledge", {"by": GM})

    events = await eventually(
        lambda: signing.backend.timeline(case, "command_refused", "escalated"), lambda found: len(found) == 3
    )
    # Nobody is named that has proven nothing.
    assert [(event["type"], event["actor"]["id"], event["data"].get("code")) for event in events] == [
        ("command_refused", "caseladder", "unsigned"),
        ("escalated", "agent-1", None),
        ("command_refused", "caseladder", "unsigned"),
    ]
    assert await signing.faults(case) == []


async def test_the_refusal_of_a_signed_signal_is_proven_too(signing: Signing) -> None:
    case = await signing.file()

    approve = signing.server.command(case.id, "approve", {"by": GM, "reason": "why not"})
    # Whoever has seen it may send it again: it is refused again.
    await case.signal("approve", approve)
    await case.signal("approve", approve)
    await signing.do(case, "note", text="after it")

    refusals = await signing.backend.timeline(case, "command_refused")
    assert [(one["actor"]["id"], one["data"]["code"]) for one in refusals] == [("gm-1", "nothing_to_approve")] * 2
    assert await signing.faults(case) == []


async def test_a_signal_whose_proof_is_as_large_as_the_engine_takes_costs_no_case(signing: Signing) -> None:
    """The attack: what is handed on to see who sent it is larger than what came, and more than the engine takes."""
    case = await signing.file()
    body = signing.server.command(case.id, "escalate", {"by": AGENT, "reason": "angry"})
    many = {f"{number:03}{'x' * 10_495}": "0" * 32 for number in range(200)}
    large = {**body, "proof": {**body["proof"], "salts": {**body["proof"]["salts"], **dict(list(many.items())[:199])}}}

    await case.signal("escalate", large)
    await signing.do(case, "note", text="still there")

    [refused_] = await signing.backend.timeline(case, "command_refused")
    assert refused_["data"]["code"] == "invalid"
    assert await signing.faults(case) == []


async def test_signals_and_what_follows_them_keep_their_order(signing: Signing) -> None:
    case = await signing.file()
    escalate = signing.server.command(case.id, "escalate", {"by": AGENT, "reason": "angry"})
    acknowledge = signing.server.command(case.id, "acknowledge", {"by": {"id": "supervisor-1", "role": "supervisor"}})

    await case.signal("escalate", escalate)
    await case.signal("acknowledge", acknowledge)
    await signing.do(case, "note", text="after both")

    events = await signing.backend.timeline(case, "escalated", "acknowledged", "noted", "command_refused")
    assert [event["type"] for event in events] == ["escalated", "acknowledged", "noted"]
    assert await signing.faults(case) == []


# --- whole lives ----------------------------------------------------------------------------------


async def test_a_claim_is_paid_and_every_step_of_it_is_proven(signing: Signing) -> None:
    shipment = {**SHIPMENT, "waybill": uuid4().hex, "insured_amount": "1000.00"}
    complaint = await signing.file(category="damage", shipment=shipment, customer={"name": "Zhang San"})
    claim = signing.backend.handle((await signing.do(complaint, "open_claim"))["claim"])
    await eventually(lambda: _case(claim), lambda view: view.get("status") == "open")
    await signing.do(claim, "acknowledge")
    await signing.do(claim, "answer_claim", text="within 30 days")
    await signing.do(claim, "assess", cause="company", loss={"total_value": "1000.00", "lost_value": "1000.00"})
    await signing.do(claim, "offer")
    approve = {"by": {"id": "supervisor-1", "role": "supervisor"}, "reason": "as assessed"}
    await claim.signal("approve", signing.server.command(claim.id, "approve", approve))
    await eventually(lambda: claim.query("case"), lambda view: view["offered"] is not None)
    await signing.do(claim, "accept_offer", {"id": "portal", "role": "customer"})
    await eventually(lambda: claim.query("case"), lambda view: view["paid"] is not None)

    # Also what the complaint filed by itself, and what the system does.
    assert await signing.faults(claim) == []
    assert await signing.faults(complaint) == []


async def test_a_worker_signs_what_a_case_that_is_merged_asks_for(signing: Signing) -> None:
    earlier, later = await signing.file(), await signing.file()
    await signing.do(later, "promise", reply_by=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    await signing.do(later, "merge", into=earlier.id)
    assert (await later.result())["merged_into"] == earlier.id
    assert len(await signing.backend.timeline(earlier, "duplicate_taken", "promised")) == 2
    assert await signing.faults(earlier) == []
    assert await signing.faults(later) == []
    # Nobody else hands a case over, and nobody unsigned.
    fields: Json = {"case": "complaint:none", "received_at": "2099-01-01T00:00:00+00:00"}
    for by, code in ((AGENT, "role"), ({"id": "erp", "role": "system"}, "role")):
        with pytest.raises(Refused) as error:
            await signing.client.command(earlier.id, "take_duplicate", {"by": by, **fields})
        assert error.value.code == code
    plain = CaseClient(signing.backend.env.client)
    await refused(plain, earlier.id, "take_duplicate", {"by": SYSTEM.as_json(), **fields})


async def test_a_worker_signs_what_customers_write(signing: Signing) -> None:
    case = await signing.file(category="delay", customer={"email": "wang@example.org"})
    database = signing.backend.book.database
    policy = DEFAULT.model_copy(update={"incoming": IncomingRule(files="complaint", facts={"category": "other"})})

    async def in_force() -> Policy:
        return policy

    cases = CaseClient(signing.backend.env.client, signing.backend.book, signing.server)
    handling, inbox = (
        Letters(database, cases.command, cases.open, in_force, Attachments(database, None)),
        Inbox(database),
    )
    number = (await eventually(lambda: _case(case), lambda view: view.get("number") is not None))["number"]
    sender = {"email": "wang@example.org"}
    await inbox.put(Incoming("message", "s1@x", references=(("", number),), text="Not here."), sender=sender)
    await inbox.put(Incoming("message", "s2@x", text="Something else."), sender=sender)
    assert [await handling.next(), await handling.next(), await handling.next()] == ["taken", "filed", None]
    async with database.connection() as connection:
        filed = await connection.fetchval("SELECT case_id FROM customer_message WHERE message_id = 's2@x'")
    for one in (case, signing.backend.handle(filed)):
        assert await signing.faults(one) == []
    # Nobody else says so, and nobody unsigned.
    fields: Json = {"text": "x", "via": "mail"}
    for by in (AGENT, {"id": "erp", "role": "system"}):
        with pytest.raises(Refused) as error:
            await signing.client.command(case.id, "customer_wrote", {"by": by, **fields})
        assert error.value.code == "role"
    await refused(CaseClient(signing.backend.env.client), case.id, "customer_wrote", {"by": SYSTEM.as_json(), **fields})


def test_what_fell_due_before_a_command_is_not_its_senders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is away for a year, and the first that it meets then is a command: more than one call records.

    A proof of all of it would be of events of two calls, which the ledger does not take.
    """
    signer, now = Signer(tmp_path / "server.pem"), datetime.now(UTC)
    new_key(signer.file)
    kind = KINDS["complaint"]
    intake = read_intake(kind.INTAKE, {"key": "1", "facts": {"category": "delay"}})
    case = kind.open(intake, Policies().load("default"), now - timedelta(days=365))
    known = Known(intake)
    outside: Any = SimpleNamespace(case=case, recording=SimpleNamespace(known=known))
    body = signer.command("complaint:1", "note", {"by": AGENT, "text": "back again"})
    command = read_command(kind.COMMANDS, "note", body)
    monkeypatch.setattr("temporalio.workflow.info", lambda: SimpleNamespace(workflow_id="complaint:1"))
    monkeypatch.setattr("temporalio.workflow.now", lambda: now)
    shell = object.__new__(Shell)
    shell._rehearsal = None

    shell._apply(outside, command)

    [sent] = known.sent
    assert (sent.first, sent.seq) == (len(case.events), len(case.events))
    assert end_of_call(case.events, case.steps, 0) < sent.first
    assert case.events[-1].type == "noted"


async def test_what_the_ledger_lost_comes_again_with_proofs(signing: Signing, superuser: asyncpg.Connection) -> None:
    case = await signing.file(category="delay", customer={"name": "Zhang San"})
    await signing.do(case, "acknowledge")
    await signing.do(case, "note", text="Called the depot.")
    # Else what was on its way would be recorded among what is gone.
    await eventually(lambda: signing.backend.timeline(case, "notified"), lambda told: len(told) == 2)
    events = await signing.backend.recorded(case)
    tables = ("case_event", "case_text", "case_proof", "case_request", "case_file", "notification", "personal")
    gone = [f"DELETE FROM {table} WHERE case_id = '{case.id}'" for table in (*tables, "case_search")]
    await behind_the_back(superuser, *gone)

    await case.execute_update(RECORD_AGAIN)

    assert await signing.backend.book.events(case.id) == events
    assert await signing.faults(case) == []


async def test_a_proof_that_is_taken_away_is_missed(signing: Signing, superuser: asyncpg.Connection) -> None:
    case = await signing.file()
    await signing.do(case, "note", text="seen")
    await signing.backend.recorded(case)
    seq = (await signing.backend.timeline(case, "noted"))[0]["seq"]
    await behind_the_back(superuser, f"DELETE FROM case_proof WHERE case_id = '{case.id}' AND seq = {seq}")

    assert await signing.faults(case) == [
        f"{case.id} seq {seq}: inserted: nothing proves that agent-1 as agent sent it"
    ]


@pytest.mark.parametrize("by", [SYSTEM.as_json(), GM], ids=["the system", "the general manager"])
async def test_money_of_a_forged_record_does_not_go_out(signing: Signing, by: Json) -> None:
    """The attack: whoever reaches Temporal has the worker's own activities record and pay, without any command."""
    claim = await signing.file("claim", **{**FACTS, "shipment": {**SHIPMENT, "waybill": uuid4().hex}})
    await signing.do(claim, "acknowledge")
    events = await signing.backend.recorded(claim)
    run = (await claim.describe()).raw_description.workflow_execution_info.first_run_id
    last, asked = events[-1], {"amount": "500000.00", "payee": "claimant"}
    forged = [
        {**last, "seq": last["seq"] + 1, "type": "agreed", "actor": by, "data": {**asked, "relation": "sender"}},
        {**last, "seq": last["seq"] + 2, "type": "payout_requested", "actor": SYSTEM.as_json(), "data": asked},
    ]
    view = await claim.query("case")
    await signing.backend.book.record(Batch(claim.id, "claim", forged, view, run))
    order = PayoutOrder(claim.id, f"{claim.id}/payout", "500000.00", run, last["seq"] + 2, "claimant")
    settings = Settings(commands="signed", senders=signing.senders, sender_key=signing.server.file)
    paying = payouts_of(settings, signing.backend.book.database)

    result = await ActivityEnvironment().run(paying.pay, order)

    assert (result.state, result.reason) == ("failed", "unproven")
    found = await signing.faults(claim, settled=False)
    assert any(f"seq {last['seq'] + 1}: inserted: " in fault for fault in found), found
    # In the open it would have.
    open_ = payouts_of(Settings(), signing.backend.book.database)
    assert (await ActivityEnvironment().run(open_.pay, order)).state == "paid"
    await claim.terminate()


async def test_a_case_that_says_it_is_of_before_does_not_get_money(signing: Signing, tmp_path: Path) -> None:
    """The attack: our own activity records a whole claim, as of when nobody had to sign."""
    await signing.backend.recorded(await signing.file())
    key, run, gm = uuid4().hex[:12], uuid4().hex, Actor(GM["id"], GM["role"])
    facts = {**FACTS, "shipment": {**SHIPMENT, "waybill": uuid4().hex}}
    intake = read_intake(KINDS["claim"].INTAKE, {"key": key, "by": GM, "facts": facts})
    since = datetime.now(UTC) - timedelta(days=2)
    then = since - timedelta(hours=1)
    policy = Policies().load("default")
    claim = KINDS["claim"].open(intake, policy, then)
    claim.emit(Agreed(amount=Decimal(500_000), payee="claimant", relation="sender"), then, by=gm)
    claim.emit(PayoutRequested(amount=Decimal(500_000), payee="claimant"), then)
    [owed] = [one for one in claim.owed() if isinstance(one, Payment)]
    batch = Batch(
        f"claim:{key}",
        "claim",
        [event.as_json() for event in claim.events],
        claim.view(),
        run,
        personal=intake.personal(),
        policy_document=policy.document,
    )
    await signing.backend.book.record(batch)
    order = PayoutOrder.of(batch.case_id, run, owed)
    senders, entries = tmp_path / "senders.toml", signing.senders.read_text().removeprefix(SINCE)
    senders.write_text(f"signed_since = {since.isoformat()}\n{entries}", "utf-8")
    settings = Settings(commands="signed", senders=senders, sender_key=signing.server.file)

    result = await ActivityEnvironment().run(payouts_of(settings, signing.backend.book.database).pay, order)

    assert (result.state, result.reason) == ("failed", "unproven")
    done = await Everything(signing.backend.book.database, second_look=0, senders=read_key_set(senders)).verify()
    assert "seq 1: inserted: it says that it is of before everything was signed, and was written later" in [
        str(fault).partition(f"{batch.case_id} ")[2] for fault in done.faults
    ]


@pytest.mark.long
async def test_money_that_a_proven_record_does_not_owe_does_not_go_out(
    signing: Signing, superuser: asyncpg.Connection
) -> None:
    """The attack: nothing is forged but the order, and then also that it was ordered before."""
    case = await signing.file()
    await signing.backend.recorded(case)
    run = (await case.describe()).raw_description.workflow_execution_info.first_run_id
    order = PayoutOrder(case.id, f"{case.id}/payout", "500000.00", run, 1, "mallory")
    settings = Settings(commands="signed", senders=signing.senders, sender_key=signing.server.file)
    paying = payouts_of(settings, signing.backend.book.database)
    assert await signing.faults(case) == []

    result = await ActivityEnvironment().run(paying.pay, order)

    assert (result.state, result.reason) == ("failed", "unproven")
    assert await superuser.fetchval("SELECT count(*) FROM payout WHERE case_id = $1", case.id) == 0
    for state in ("requested", "failed"):
        await superuser.execute(
            "INSERT INTO payout (key, case_id, amount, state, requested_at, gateway, payee, settled_at)"
            " VALUES ($1, $2, 500000, $3, now(), 'ledger', 'mallory', CASE WHEN $3 = 'failed' THEN now() END)",
            order.key,
            case.id,
            state,
        )
        result = await ActivityEnvironment().run(paying.pay, order)
        assert (result.state, result.reason) == ("failed", "unproven"), state
        assert await superuser.fetchval("SELECT state FROM payout WHERE case_id = $1", case.id) == "failed"
        assert await superuser.fetchval("SELECT count(*) FROM payout_booking WHERE case_id = $1", case.id) == 0
        await superuser.execute("DELETE FROM payout WHERE case_id = $1", case.id)


# --- in the open ----------------------------------------------------------------------------------


async def test_in_the_open_anybody_is_taken_at_their_word_but_not_with_a_wrong_proof(signing: Signing) -> None:
    plain = signing.backend.client
    async with guarding("open", signing.senders):
        case = await signing.backend.file()
        await plain.command(case.id, "note", {"by": AGENT, "text": "unsigned"})
        body = signing.server.command(case.id, "note", {"by": AGENT, "text": "signed"})
        await plain.command(case.id, "note", body)
        assert "signature" in await refused(plain, case.id, "note", {**body, "text": "changed", "request_id": "x"})

    assert len(await signing.backend.timeline(case, "noted")) == 2
    # With the day from which on everything has to be signed, the audit names what is not.
    faults = await signing.faults(case)
    assert [fault.partition(": ")[2] for fault in faults] == [
        "inserted: nothing proves that caseladder as system sent it",
        "inserted: nothing proves that agent-1 as agent sent it",
    ]


async def test_what_is_asked_for_may_change_while_a_case_runs(signing: Signing) -> None:
    """Its history replays as it was, whatever is asked for then."""
    case = await signing.file()
    for round_, mode in enumerate(MODES):
        async with guarding(mode, signing.senders):
            await asyncio.gather(
                case.signal("escalate", {"by": GM, "reason": f"unsigned {round_}"}),
                signing.do(case, "note", text=f"signed {round_}"),
                case.signal("approve", signing.server.command(case.id, "approve", {"by": GM})),
            )
            await signing.do(case, "note", text=f"after {round_}")

    history = await case.fetch_history()
    marks = [one for one in history.events if "signed-" in str(one.marker_recorded_event_attributes)]
    assert len(marks) == 1
    for mode in MODES[:2]:
        async with guarding(mode, signing.senders):
            await Replayer(
                workflows=case_workflows(), workflow_runner=RUNNER, data_converter=pydantic_data_converter
            ).replay_workflow(history)


async def test_a_rehearsal_asks_nobody(signing: Signing) -> None:
    case = await signing.backend.rehearse()
    begin = datetime.fromisoformat("2026-03-04T10:01:00+08:00")

    view: Json = await case.execute_update("acknowledge", {"by": AGENT, "at": begin.isoformat()})

    assert view["acknowledged"]
    await case.terminate()


def test_the_lifetime_is_what_the_documents_say() -> None:
    from activities.senders.check import AHEAD, LIFETIME

    assert (timedelta(minutes=15), timedelta(minutes=1)) == (LIFETIME, AHEAD)
