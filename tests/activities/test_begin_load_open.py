"""Beginning a case, loading one from its ledger, and opening another one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.casebook import begin as begin_module
from activities.casebook import load as load_module
from activities.casebook.begin import Beginnings
from activities.casebook.errors import LedgerBroken, NoSuchCase, Recovering, Superseded
from activities.casebook.load import Loader
from activities.casebook.open import Openings
from activities.database.database import Database
from activities.database.errors import DatabaseAway
from activities.messages import Batch, BeginOrder, Begun, Loaded, LoadOrder, Opened, OpenOrder, Recorded, Request
from activities.policies.store import Policies
from cases.kinds.complaint import Complaint
from cases.vocabulary.commands import read_command
from cases.vocabulary.contract import refusal_of
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.activities.ledger import CASE, MARCH, RUN, batch, behind_the_back, event, view_of
from tests.casebook import Book
from tests.core.support import AGENT, at, default_policy
from workflows import state

DIGEST = hashlib.sha256(b"intake").hexdigest()
ORDER = BeginOrder(CASE, "default", RUN)
DOCUMENT = Policies().load("default").document


@pytest.fixture
def beginnings(book: Book) -> Beginnings:
    return Beginnings(book.database, Policies())


@pytest.fixture
def loader(book: Book) -> Loader:
    return Loader(book.database)


# --- begin ----------------------------------------------------------------------------------------


async def test_a_new_case_begins_with_its_policy(beginnings: Beginnings) -> None:
    assert await ActivityEnvironment().run(beginnings.begin, ORDER) == Begun(DOCUMENT)


async def test_a_case_that_another_run_recorded_is_told(book: Book, beginnings: Beginnings) -> None:
    await book.record(replace(batch(1, 1, status="closed"), intake=DIGEST))
    known = view_of(CASE, number="2026-03-0001", status="closed")
    # Its own run has begun before; that is no other case.
    assert await beginnings.begin(ORDER) == Begun(DOCUMENT)
    begun = await beginnings.begin(replace(ORDER, run="run-2"))
    assert begun.mark is not None
    assert begun == Begun(DOCUMENT, known, begun.mark)
    assert state.matches(begun.mark, DIGEST)
    assert not state.matches(begun.mark, hashlib.sha256(b"other").hexdigest())
    await book.erase_personal(CASE)
    assert await beginnings.begin(replace(ORDER, run="run-2")) == Begun(DOCUMENT, known, None)


async def test_a_case_of_before_counts_as_filed_with_the_same_intake(
    book: Book, beginnings: Beginnings, superuser: asyncpg.Connection
) -> None:
    await book.record(batch(1, 1))
    await superuser.execute("UPDATE case_file SET held_by = NULL")
    begun = await beginnings.begin(ORDER)
    assert (begun.known is not None, begun.mark) == (True, None)


async def test_an_unknown_policy_is_refused_unless_the_case_is_known(book: Book, beginnings: Beginnings) -> None:
    order = replace(ORDER, policy="nowhere", run="run-2")
    with pytest.raises(ApplicationError) as caught:
        await beginnings.begin(order)
    refusal = refusal_of(caught.value)
    assert refusal is not None
    assert (refusal.code, caught.value.non_retryable) == ("unknown_policy", True)
    await book.record(replace(batch(1, 1), intake=DIGEST))
    begun = await beginnings.begin(order)
    assert (begun.policy_document, begun.known is not None) == ("", True)


async def test_a_casebook_that_is_away_does_not_keep_a_case_from_beginning() -> None:
    async with Database.open("postgresql://nobody@127.0.0.1:1/x") as away:
        assert await Beginnings(away, Policies()).begin(ORDER) == Begun(DOCUMENT)


async def test_a_casebook_that_does_not_answer_is_not_waited_for(
    book: Book, beginnings: Beginnings, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begin_module, "PATIENCE", 0.2)
    await book.record(batch(1, 1))
    async with superuser.transaction():
        await superuser.execute("LOCK TABLE case_file")
        began = time.monotonic()
        assert await beginnings.begin(replace(ORDER, run="run-2")) == Begun(DOCUMENT)
        assert time.monotonic() - began < 5
    begun = await beginnings.begin(replace(ORDER, run="run-2"))
    assert begun.known is not None


# --- load -----------------------------------------------------------------------------------------


def events_of(*parts: Loaded) -> list[dict[str, Any]]:
    return [each for part in parts for each in json.loads(zlib.decompress(base64.b64decode(part.events)))]


async def whole(loader: Loader) -> list[Loaded]:
    """All parts of the case, loaded by another run than the one that recorded it."""
    parts = [await loader.load_case(LoadOrder(CASE, "run-2"))]
    while parts[-1].last_seq < parts[-1].head_seq:
        parts.append(await loader.load_case(LoadOrder(CASE, "run-2", parts[-1].last_seq)))
    return parts


async def test_a_loaded_case_has_all_but_its_texts_and_its_personal_facts(
    book: Book, loader: Loader, superuser: asyncpg.Connection
) -> None:
    policy_hash = hashlib.sha256(DOCUMENT.encode()).hexdigest()
    asked = [Request(2, "r-2", DIGEST), Request(1, "r-1", DIGEST)]
    opening = Batch(
        CASE, "complaint", [event(1, text="secret"), event(2, "withdrawn", reason=None)],
        view_of(CASE, policy_hash=policy_hash), RUN, {"customer": {"name": "Zhang San"}}, DOCUMENT, asked, DIGEST,
    )  # fmt: skip
    await book.record(opening)
    loaded = await ActivityEnvironment().run(loader.load_case, LoadOrder(CASE, "run-2"))
    assert (loaded.number, loaded.head_seq, loaded.last_seq) == ("2026-03-0001", 2, 2)
    assert events_of(loaded) == [event(1, text=""), event(2, "withdrawn", reason=None)]
    assert loaded.policy_document == DOCUMENT
    assert [each.id for each in loaded.requests] == ["r-1", "r-2"]
    assert loaded.intake is not None
    for mark in (loaded.intake, *(each.mark for each in loaded.requests)):
        assert mark.digest == hmac.new(bytes.fromhex(mark.salt), DIGEST.encode(), "sha256").hexdigest()
    assert not any(word in str(loaded) for word in ("secret", "Zhang"))
    await book.erase_personal(CASE)
    assert (await loader.load_case(LoadOrder(CASE, "run-2"))).intake is None


async def test_a_real_case_goes_on_from_what_was_loaded(book: Book, loader: Loader) -> None:
    intake = {"key": "C-1", "received_at": MARCH, "facts": {"category": "delay", "severity": "normal"}}
    policy = default_policy()
    case = Complaint.open(read_intake(Complaint.INTAKE, intake), policy, at("03-10 09:00"))
    for name, fields in (("acknowledge", {}), ("note", {"text": "secret"}), ("log_contact", {"reached": True})):
        case.decide(read_command(Complaint.COMMANDS, name, {"by": AGENT, **fields}), at("03-10 09:01"))
    events = [each.as_json() for each in case.events]
    await book.record(Batch(CASE, "complaint", events, case.view(), RUN, None, policy.document))
    loaded = await loader.load_case(LoadOrder(CASE, "run-2"))
    assert loaded.policy_document == policy.document
    restored = Complaint.replay(policy, state.unpack(loaded.events))
    assert restored.view() == case.view()
    assert restored.due() == case.due()
    # It records again what an older ledger would lack, and goes on.
    bare = [each.as_json() for each in restored.events]
    again = Batch(CASE, "complaint", bare, case.view(), "run-2")
    assert await book.record(again) == Recorded("2026-03-0001", len(events))


async def test_loading_claims_the_case(book: Book, loader: Loader) -> None:
    await book.record(batch(1, 2))
    await loader.load_case(LoadOrder(CASE, "run-2"))
    with pytest.raises(Superseded):
        await book.record(batch(3, 3))
    assert await book.record(replace(batch(3, 3), run="run-2")) == Recorded("2026-03-0001", 3)
    # Whoever claims last holds; a repeat by the same run is harmless.
    for _ in range(2):
        assert (await loader.load_case(LoadOrder(CASE, "run-3"))).head_seq == 3
    with pytest.raises(Superseded):
        await book.record(replace(batch(4, 4), run="run-2"))
    with pytest.raises(Superseded):
        await loader.load_case(LoadOrder(CASE, "run-2", after=1))


async def test_nobody_records_between_the_claim_and_the_head(
    book: Book, loader: Loader, superuser: asyncpg.Connection
) -> None:
    await book.record(batch(1, 1))

    async def record() -> None:
        for seq in count(2):
            await book.record(batch(seq, seq))

    recording = asyncio.create_task(record())
    await asyncio.sleep(random.uniform(0.01, 0.05))
    while True:
        # A claim that meets a record under way is tried again.
        with suppress(DatabaseAway):
            loaded = await loader.load_case(LoadOrder(CASE, "run-2"))
            break
    with pytest.raises(Superseded):
        await recording
    assert loaded.head_seq == len(events_of(loaded)) == len(await book.events(CASE))


async def test_a_long_case_comes_in_parts(book: Book, loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "PART", 50_000)
    chance = random.Random(1)
    # What does not compress.
    long = [event(seq, "assigned", name=chance.randbytes(300).hex(), where="x") for seq in range(1, 2001)]
    await book.record(Batch(CASE, "complaint", long, view_of(CASE), RUN))
    parts = await whole(loader)
    assert len(parts) > 5
    assert all(len(part.events) < 150_000 for part in parts)
    assert events_of(*parts) == long
    assert all(part.policy_document is None and part.intake is None and not part.requests for part in parts[1:])
    end = await loader.load_case(LoadOrder(CASE, "run-2", after=2000))
    assert (events_of(end), end.last_seq) == ([], 2000)
    # However small they are, a workflow task has time for so many only.
    monkeypatch.setattr(load_module, "PART", 1_000_000)
    monkeypatch.setattr(load_module, "MOST_EVENTS", 900)
    parts = await whole(loader)
    assert [part.last_seq for part in parts] == [900, 1800, 2000]
    assert events_of(*parts) == long


async def test_only_the_last_requests_are_loaded(book: Book, loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "REQUESTS", 3)
    await book.record(replace(batch(1, 9), requests=[Request(n, f"r-{n}", DIGEST) for n in range(1, 10)]))
    loaded = await loader.load_case(LoadOrder(CASE, "run-2"))
    assert [each.id for each in loaded.requests] == ["r-7", "r-8", "r-9"]


@pytest.mark.parametrize("parts", [1, 100])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE case_event SET body = replace(body, 'agent', 'agenT') WHERE seq = {}",
        "UPDATE case_event SET body = 'no event' WHERE seq = {}",
        "DELETE FROM case_event WHERE seq = {}",
    ],
)
@pytest.mark.parametrize("seq", [1, 3, 5])
async def test_a_broken_ledger_is_not_loaded_and_not_claimed(
    book: Book,
    loader: Loader,
    superuser: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    seq: int,
    parts: int,
) -> None:
    monkeypatch.setattr(load_module, "PART", 1_000_000 if parts == 1 else 0)
    await book.record(batch(1, 5))
    await behind_the_back(superuser, statement.format(seq))
    with pytest.raises(LedgerBroken, match="verify the casebook") as caught:
        await whole(loader)
    assert (caught.value.type, caught.value.non_retryable) == ("LedgerBroken", True)
    if parts == 1:
        assert await superuser.fetchval("SELECT held_by FROM case_file") == RUN


async def test_a_ledger_with_another_head_is_not_loaded(
    book: Book, loader: Loader, superuser: asyncpg.Connection
) -> None:
    await book.record(batch(1, 3))
    await superuser.execute("UPDATE case_file SET head_hash = sha256('x')")
    with pytest.raises(LedgerBroken, match="seq 3: changed"):
        await loader.load_case(LoadOrder(CASE, "run-2"))


async def test_an_unknown_case_is_not_loaded(loader: Loader) -> None:
    for after in (0, 3):
        with pytest.raises(NoSuchCase, match="the casebook knows no case complaint:C-1") as caught:
            await loader.load_case(LoadOrder(CASE, RUN, after))
        assert (caught.value.type, caught.value.non_retryable) == ("NoSuchCase", True)


# --- open -----------------------------------------------------------------------------------------

CUSTOMER = {"name": "Zhang San", "phone": "13800000000"}


class Filed:
    """Files cases, as a client does."""

    def __init__(self, refusal: Refused | None = None) -> None:
        self.refusal = refusal
        self.filed: dict[str, Mapping[str, Any]] = {}

    async def __call__(self, kind: str, intake: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        if self.refusal is not None:
            raise self.refusal
        case_id = f"{kind}:{intake['key']}"
        new = case_id not in self.filed
        self.filed[case_id] = intake
        return {"id": case_id}, new


async def test_another_case_is_opened_with_the_customer_of_its_parent(book: Book) -> None:
    filed = Filed()
    openings = Openings(book.database, filed)
    await book.record(replace(batch(1, 1), personal={"customer": CUSTOMER, "description": "d"}))
    order = OpenOrder("claim", {"key": "K-1", "facts": {"factor": "loss"}}, CASE)
    assert await ActivityEnvironment().run(openings.open_case, order) == Opened("claim:K-1", True)
    assert await openings.open_case(order) == Opened("claim:K-1", False)
    assert filed.filed == {"claim:K-1": {"key": "K-1", "facts": {"factor": "loss", "customer": CUSTOMER}}}
    assert order.intake == {"key": "K-1", "facts": {"factor": "loss"}}


@pytest.mark.parametrize("parent", [None, "complaint:nobody", CASE])
async def test_without_a_customer_there_is_none(book: Book, parent: str | None) -> None:
    filed = Filed()
    await book.record(replace(batch(1, 1), personal={"customer": CUSTOMER}))
    await book.erase_personal(CASE)
    await Openings(book.database, filed).open_case(OpenOrder("claim", {"key": "K-1", "facts": {}}, parent))
    assert filed.filed == {"claim:K-1": {"key": "K-1", "facts": {}}}


async def test_a_refused_opening_is_told_as_a_refusal(book: Book) -> None:
    openings = Openings(book.database, Filed(Refused("conflict", "key = 'K-1' was filed with other content", "S1")))
    with pytest.raises(ApplicationError) as caught:
        await openings.open_case(OpenOrder("claim", {"key": "K-1", "facts": {}}))
    refusal = refusal_of(caught.value)
    assert refusal is not None
    assert (refusal.code, refusal.clause, caught.value.non_retryable) == ("conflict", "S1", True)


async def test_openings_wait_while_cases_recover(book: Book, superuser: asyncpg.Connection) -> None:
    filed = Filed()
    await superuser.execute("INSERT INTO casebook_recovery DEFAULT VALUES")
    with pytest.raises(Recovering, match="claim: the opening of another case waits until the casebook is recovered"):
        await Openings(book.database, filed).open_case(OpenOrder("claim", {"key": "K-1", "facts": {}}))
    assert filed.filed == {}
