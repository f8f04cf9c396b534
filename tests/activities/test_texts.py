"""Free texts: beside the bodies of events, joined by every reader, and checked against what the bodies commit to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from traceback import format_exception
from typing import Any

import asyncpg
import pytest

from activities.casebook.errors import BadBatch, LedgerConflict
from activities.casebook.filter import Filter
from activities.casebook.texts import commitment, join, seal, seal_as, strip
from activities.events.feed import Feed
from activities.messages import Batch, Recorded
from cases.vocabulary.events import EVENTS, canonical, fingerprint, lacks_text, without_texts
from cases.vocabulary.texts import put
from tests.activities.ledger import CASE, RUN, batch, behind_the_back, event, view_of
from tests.casebook import Book

# One event with a text, one with two kinds of data, one without, one whose text is not there.
SAID = "客户说：包裹在雨里。"
EVENTS_WITH_TEXTS = [
    event(1, "noted", text=SAID),
    event(2, "replied", stage="interim", text="We are looking for it."),
    event(3, "promised", reply_by="2026-03-11T09:00:00+08:00"),
    event(4, "withdrawn"),
    event(5, "contact_attempted", reached=True, channel=None, reason=None),
]


def of(*events: dict[str, Any], run: str = RUN) -> Batch:
    return Batch(CASE, "complaint", list(events), view_of(CASE), run)


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**event, "data": {name: value for name, value in event["data"].items() if name not in names}}


def _plain() -> list[tuple[str, dict[str, Any], list[str]]]:
    """Return an event of each type with the texts that stand in it directly."""
    found = []
    for type_, model in EVENTS.items():
        names = [name for name in model.model_fields if model.texts({name: "secret"})]
        found.append((type_, {**dict.fromkeys(names, "secret"), "other": "public"}, names))
    return found


OVERRIDDEN = {"role": "supervisor", "reason": "secret", "was_total": "1.00"}
EXCEPTIONS = [{"number": "1", "late": False}, {"number": "2", "cause": "secret", "measure": "secret"}]
DEEP: list[tuple[str, dict[str, Any], list[str]]] = [
    *_plain(),
    ("proposed", {"options": ["secret", "secret"]}, ["options.0", "options.1"]),
    ("assessed", {"overridden": OVERRIDDEN, "total": "1.00"}, ["overridden.reason"]),
    ("goods_checked", {"checklist": {"label": "secret", "photographs": 3}}, ["checklist.label"]),
    ("summary_sent", {"month": "2026-03", "said": [{"role": "a"}, {"role": "b", "text": "secret"}]}, ["said.1.text"]),
    ("case_opened", {"kind": "exception", "facts": {"checklist": {"label": "secret"}}}, ["facts.checklist.label"]),
    (
        "case_opened",
        {"kind": "summary", "facts": {"exceptions": EXCEPTIONS}},
        ["facts.exceptions.1.cause", "facts.exceptions.1.measure"],
    ),
]  # fmt: skip


# --- out of the bodies, and back ------------------------------------------------------------------


async def test_bodies_hold_salted_commitments_in_place_of_texts(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    bodies = [json.loads(row["body"]) for row in await superuser.fetch("SELECT body FROM case_event ORDER BY seq")]
    assert not any(text in json.dumps(bodies, ensure_ascii=False) for text in (SAID, "looking for it"))
    texts = await superuser.fetch("SELECT seq, field, salt, text FROM case_text ORDER BY seq")
    assert [(row["seq"], row["field"], row["text"]) for row in texts] == [
        (1, "text", SAID),
        (2, "text", "We are looking for it."),
    ]
    for row in texts:
        assert len(row["salt"]) == 16
        said = {"commitment": hashlib.sha256(row["salt"] + row["text"].encode()).hexdigest()}
        assert bodies[row["seq"] - 1]["data"]["text"] == said
    assert texts[0]["salt"] != texts[1]["salt"]
    # What is no text, null or absent, stays as it is.
    assert bodies[1]["data"]["stage"] == "interim"
    assert bodies[2:] == EVENTS_WITH_TEXTS[2:]


async def test_every_reader_joins_the_texts(book: Book) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    assert await book.events(CASE) == EVENTS_WITH_TEXTS
    assert [one.event for one in await Feed(book.database).after(None, 100)][-5:] == EVENTS_WITH_TEXTS
    exported = [found async for _, found in book.event_rows(Filter(), units=None, kinds=None)]
    assert exported == EVENTS_WITH_TEXTS


async def test_an_erased_text_is_left_out_and_the_chain_holds(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    await superuser.execute("UPDATE case_text SET salt = NULL, text = NULL WHERE seq = 2")
    events = await book.events(CASE)
    assert events[1] == without(EVENTS_WITH_TEXTS[1], "text")
    assert events[0] == EVENTS_WITH_TEXTS[0]
    assert (await book.verify()).ok
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute("UPDATE case_text SET text = NULL WHERE seq = 1")


async def test_cases_are_found_by_the_reason_for_which_they_were_assigned(book: Book) -> None:
    # Longer than an entry of a tree may be.
    reason = "handover:S-1 2 " + "长" * 4000
    for key, type_ in (("B", "assigned"), ("A", "assigned"), ("C", "escalated")):
        data: dict[str, Any] = {"from": {"role": "agent"}, "to": {"role": "agent"}, "reason": reason}
        moved = event(1, type_, **data)
        await book.record(Batch(f"complaint:{key}", "complaint", [moved], view_of(f"complaint:{key}"), RUN))
    assert await book.assigned_for(reason) == ["complaint:A", "complaint:B"]
    assert await book.assigned_for("handover:S-1 2") == []


async def test_bodies_that_still_hold_their_texts_stay_readable(book: Book, superuser: asyncpg.Connection) -> None:
    """As a ledger from before texts stood apart has them."""
    await book.record(batch(1, 1))
    body = canonical(event(1, text="as it was then"))
    await behind_the_back(superuser, "DELETE FROM case_text")
    await superuser.execute("ALTER TABLE case_event DISABLE TRIGGER case_event_append_only")
    await superuser.execute("UPDATE case_event SET body = $1, hash = sha256(prev_hash || $1::text::bytea)", body)
    await superuser.execute("ALTER TABLE case_event ENABLE TRIGGER case_event_append_only")
    await superuser.execute("UPDATE case_file SET head_hash = (SELECT hash FROM case_event), held_by = NULL")
    assert (await book.verify()).ok
    assert await book.events(CASE) == [event(1, text="as it was then")]
    assert strip(body) == event(1, text="")
    assert await book.record(of(event(1, text="as it was then"))) == Recorded("2026-03-0001", 1)
    assert await book.record(of(event(1), event(2, text="x"))) == Recorded("2026-03-0001", 2)
    with pytest.raises(LedgerConflict, match="seq 1: another content"):
        await book.record(of(event(1, text="as it never was")))


def test_every_declared_text_is_sealed() -> None:
    for type_, data, paths in DEEP:
        said = event(1, type_, **data)
        sealed, texts = seal(said)
        assert [text.field for text in texts] == paths, type_
        assert "secret" not in canonical(sealed)
        salts = {text.field: text.salt for text in texts}
        assert seal_as(said, sealed, salts) == sealed
        assert seal_as(without_texts(said), sealed, salts) == sealed
        assert seal_as(said, sealed, {}) == sealed
        assert join(canonical(sealed), dict.fromkeys(paths, "secret")) == said
        assert join(canonical(sealed), {}) == without_texts(said)
        assert "secret" not in canonical(without_texts(said))
        assert fingerprint(without_texts(said)) == fingerprint(said)
        emptied = {**said, "data": put(said["data"], dict.fromkeys(paths, ""))}
        assert strip(canonical(sealed)) == emptied
        assert (lacks_text(emptied), lacks_text(said)) == (bool(paths), False)
        # What is not known here is taken to be what is recorded.
        assert seal_as(emptied, sealed, salts) == sealed


# --- repeated -------------------------------------------------------------------------------------


async def test_a_repeat_with_texts_is_harmless(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    before = await superuser.fetch("SELECT * FROM case_text")
    assert await book.record(of(*EVENTS_WITH_TEXTS)) == Recorded("2026-03-0001", 5)
    assert await book.record(of(*EVENTS_WITH_TEXTS, event(6, text="and then"))) == Recorded("2026-03-0001", 6)
    assert await superuser.fetch("SELECT * FROM case_text WHERE seq < 6") == before
    assert (await book.verify()).ok


async def test_a_run_that_does_not_know_the_texts_any_more_repeats_harmlessly(book: Book) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    bare = [without(each, "text") for each in EVENTS_WITH_TEXTS]
    assert await book.record(of(*bare, event(6, text="and then"))) == Recorded("2026-03-0001", 6)
    assert await book.events(CASE) == [*EVENTS_WITH_TEXTS, event(6, text="and then")]


async def test_an_erased_text_counts_as_equal(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    await superuser.execute("UPDATE case_text SET salt = NULL, text = NULL")
    assert await book.record(of(*EVENTS_WITH_TEXTS)) == Recorded("2026-03-0001", 5)
    # It does not come back by that.
    assert "text" not in (await book.events(CASE))[0]["data"]


@pytest.mark.parametrize(
    "other",
    [
        event(2, "replied", stage="interim", text="We are looking for him."),
        event(2, "replied", stage="answer", text="We are looking for it."),
        event(2, "replied", stage="answer"),
        event(2, "replied", stage="interim", text=None),
    ],
)
async def test_another_text_or_other_data_is_a_conflict(book: Book, other: dict[str, Any]) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    with pytest.raises(LedgerConflict, match="seq 2: another content is recorded"):
        await book.record(of(EVENTS_WITH_TEXTS[0], other))


async def test_a_text_that_nobody_knows_any_more_is_recorded_as_absent(book: Book) -> None:
    """A run that was started from the ledger records again what an older dump has lost."""
    await book.record(of(event(1)))
    assert await book.events(CASE) == [event(1)]
    assert (await book.verify()).ok


@pytest.mark.parametrize("text", [{"commitment": "0" * 64}, 7, ["Zhang San"]])
async def test_what_is_no_text_is_refused(book: Book, text: Any) -> None:
    with pytest.raises(BadBatch, match=r"event 0 of the batch has no usable .* \(ValueError\)") as caught:
        await book.record(of(event(1, text=text)))
    assert "Zhang" not in "".join(format_exception(caught.value))


@pytest.mark.parametrize("text", ["Zhang\0San"])
async def test_a_text_that_no_database_takes_is_refused_and_not_repeated(book: Book, text: str) -> None:
    with pytest.raises(BadBatch, match="hold a value that PostgreSQL does not take") as caught:
        await book.record(of(event(1, text=text)))
    assert "Zhang" not in "".join(format_exception(caught.value))
    assert await book.case(CASE) is None


# --- audited --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("UPDATE case_text SET text = 'as it never was' WHERE seq = 2", "'text' is not the one that was recorded"),
        ("UPDATE case_text SET salt = '0123456789abcdef' WHERE seq = 2", "'text' is not the one that was recorded"),
        ("DELETE FROM case_text WHERE seq = 2", "'text' is gone, and was not erased"),
        ("UPDATE case_text SET seq = 3 WHERE seq = 2", "'text' is gone, and was not erased"),
        (
            "INSERT INTO case_text SELECT case_id, seq, 'stage', salt, text FROM case_text WHERE seq = 2",
            "'stage' was never recorded with it",
        ),
    ],
)
async def test_an_audit_finds_a_text_that_is_not_the_recorded_one(
    book: Book, superuser: asyncpg.Connection, statement: str, detail: str
) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    await book.record(batch(1, 3, "complaint:C-2"))
    assert (await book.verify()).ok
    await behind_the_back(superuser, f"{statement} AND case_id = '{CASE}'")
    fault = (await book.verify()).fault
    assert fault is not None
    assert (fault.case_id, fault.seq, fault.what) == (CASE, 2, "changed")
    assert detail in fault.detail
    assert (await book.verify("complaint:C-2")).ok


async def test_a_broken_row_comes_before_its_text(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(of(*EVENTS_WITH_TEXTS))
    await superuser.execute("DELETE FROM case_text WHERE seq = 2")
    await behind_the_back(superuser, "UPDATE case_event SET body = replace(body, 'agent', 'agenT') WHERE seq = 1")
    fault = (await book.verify()).fault
    assert fault is not None
    assert (fault.seq, fault.what) == (1, "changed")


def test_commitments_tell_salts_and_texts_apart() -> None:
    assert len({canonical(commitment(salt, text)) for salt in (b"a" * 16, b"b" * 16) for text in ("x", "y")}) == 4


async def test_requests_stand_beside_the_batch_not_in_its_events(book: Book) -> None:
    said = replace(of(event(1, text="x")), intake="0" * 64)
    await book.record(said)
    assert await book.events(CASE) == [event(1, text="x")]
