"""The activity that hands a case over: what it answers, what it waits for, and for whom a worker signs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.casebook import merge
from activities.casebook.errors import Recovering
from activities.casebook.merge import Merges
from activities.casebook.restored import Restored
from activities.messages import Batch, CallOrder
from activities.senders.gate import GATE
from cases.case import Case
from cases.vocabulary.contract import refusal_of
from cases.vocabulary.effects import ActivityCall
from cases.vocabulary.refusals import Refused
from tests.activities.test_search import opened, record
from tests.casebook import Book
from tests.core.support import AGENT, at, do

DAY = "03-10"


class Other:
    """Stands for the engine: sends commands to one case in memory."""

    def __init__(self, case: Case, refusal: Refused | None = None) -> None:
        self.case, self.refusal = case, refusal
        self.sent: list[Mapping[str, Any]] = []

    async def command(self, case_id: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Decide a command."""
        self.sent.append(body)
        if self.refusal is not None:
            raise self.refusal
        fields = {field: value for field, value in body.items() if field not in ("by", "request_id")}
        do(self.case, f"{DAY} 09:32:00", name, body["by"], **fields)
        return self.case.view()


def order_of(case: Case, **changes: Any) -> CallOrder:
    """The order of a case that asks to be merged."""
    [call] = [one for one in case.owed() if isinstance(one, ActivityCall)]
    what = {**call.order, **changes}
    return CallOrder(case.id, what, call.seq, case.event(call.seq).at.isoformat(), case.policy.hash, "run-1")


async def asks(book: Book) -> tuple[Case, Case]:
    """An earlier case, and a recorded later one that asks to be merged into it."""
    earlier, later = opened("complaint", "M-1", f"{DAY} 09:00:00"), opened("complaint", "M-2", f"{DAY} 09:30:00")
    do(later, f"{DAY} 09:31:00", "merge", AGENT, into="complaint:M-1")
    await record(book, earlier)
    events = [event.as_json() for event in later.events]
    await book.record(Batch(later.id, later.KIND, events, later.view(), "run-1", None, later.policy.document))
    return earlier, later


async def merged(book: Book, other: Other, order: CallOrder) -> Any:
    """What the activity answers."""
    return await ActivityEnvironment().run(Merges(book.database, other.command).merge_case, order)


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "LOOKS", (0.01, 0.01))


async def test_it_agrees_only_once_that_is_recorded(book: Book) -> None:
    earlier, later = await asks(book)
    other, order = Other(earlier), order_of(later)
    with pytest.raises(ApplicationError, match="has not recorded it yet") as caught:
        await merged(book, other, order)
    assert not caught.value.non_retryable
    await record(book, earlier)
    assert await merged(book, other, order) == {}
    # The same order is the same request, so that a repeat is answered again.
    assert len({body["request_id"] for body in other.sent}) == 1
    assert other.sent[0]["by"] == {"id": "caseladder", "role": "system"}
    # Another time that it asks is another request.
    assert merge._command(order_of(later, into="complaint:M-0"))["request_id"] != other.sent[0]["request_id"]


async def test_it_tells_a_refusal_from_what_passes(book: Book) -> None:
    earlier, later = await asks(book)
    for code in ("closed", "not_found", "resolved"):
        assert await merged(book, Other(earlier, Refused(code, "no")), order_of(later)) == {"refused": code}
    for code in ("busy", "workflow_missing"):
        with pytest.raises(ApplicationError) as caught:
            await merged(book, Other(earlier, Refused(code, "later")), order_of(later))
        assert (caught.value.type, caught.value.non_retryable) == (code, False)


async def test_a_case_that_has_ended_since_it_agreed_has_agreed(book: Book) -> None:
    earlier, later = await asks(book)
    await Other(earlier).command("complaint:M-1", "take_duplicate", merge._command(order_of(later)))
    await record(book, earlier)
    assert await merged(book, Other(earlier, Refused("closed", "no")), order_of(later)) == {}


async def test_a_case_that_does_not_answer_is_asked_again(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, later = await asks(book)
    other = Other(earlier)

    async def silent(case_id: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise TimeoutError

    monkeypatch.setattr(other, "command", silent)
    with pytest.raises(ApplicationError, match="does not answer") as caught:
        await merged(book, other, order_of(later))
    assert not caught.value.non_retryable


async def test_it_waits_while_cases_are_recovered(book: Book) -> None:
    earlier, later = await asks(book)
    await Restored(book.database).begin()
    try:
        with pytest.raises(Recovering):
            await merged(book, Other(earlier), order_of(later))
    finally:
        await Restored(book.database).end()


async def test_a_worker_signs_only_what_a_record_asks_for(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, later = await asks(book)
    monkeypatch.setattr(GATE, "mode", "signed")
    other = Other(earlier)
    for order in (order_of(later, into="complaint:M-9"), CallOrder("complaint:M-9", {"into": "x:1"}, 1, "", "")):
        with pytest.raises(ApplicationError) as caught:
            await merged(book, other, order)
        refusal = refusal_of(caught.value)
        assert refusal is not None
        assert (refusal.code, caught.value.non_retryable, other.sent) == ("unsigned", True, [])
    with pytest.raises(ApplicationError, match="has not recorded it yet"):
        await merged(book, other, order_of(later))
    assert at(f"{DAY} 09:30:00").isoformat() == other.sent[0]["received_at"]
