"""Searches, worklists and statistics on a real PostgreSQL: cases of the pure core, recorded in the casebook."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from activities.casebook import search
from activities.casebook.filter import SEVERITIES, Filter
from activities.casebook.ledger import chain, genesis
from activities.casebook.paging import Page
from activities.casebook.search import LINKS, SEVERAL, Search
from activities.casebook.worklist import CLIMBING, TALK, Worklist
from activities.database.database import Database
from activities.database.errors import DatabaseAway
from activities.database.migrate import migrate
from activities.messages import Batch
from bench.fill_casebook import fill
from cases.case import Case
from cases.kinds.form import form_of
from cases.registry import KINDS
from cases.vocabulary.events import SYSTEM, Event, canonical
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.casebook import Book, open_book
from tests.core.support import AGENT, CUSTOMER, GM, QA, SUPERVISOR, at, default_policy, do, pass_time
from tests.postgres import Cluster

DAY = "03-10"
NINE = f"{DAY} 09:00:00"
ALL: dict[str, Any] = {"units": None, "kinds": None}
FINANCE = {"id": "fin-1", "role": "finance"}
# Words that stand where people write, or in personal facts; no search may know them.
SECRETS = ("zhang", "13800000000", "zhang@example.org", "vip-1", "angry", "whereabouts", "confidential")
WRITTEN = ("packed", "voucher")


@pytest.fixture(scope="session")
async def template(postgres: Cluster) -> str:
    """The name of an empty casebook that others are copied from."""
    address = await postgres.fresh_database()
    await migrate(address)
    return address.rpartition("/")[2]


@pytest.fixture(scope="session")
async def dsn(postgres: Cluster, template: str) -> str:
    return await postgres.fresh_database(f"TEMPLATE {template}")


@pytest.fixture
async def superuser(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for looking at the tables; they are empty when it is given."""
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "TRUNCATE case_event, case_file, case_number, case_search, case_text, personal, personal_search, payout"
        )
    yield connection
    await connection.close()


@pytest.fixture
async def book(dsn: str, superuser: asyncpg.Connection) -> AsyncIterator[Book]:
    """An empty casebook."""
    async with open_book(dsn, connections=2) as made:
        yield made


@pytest.fixture
async def read(dsn: str) -> AsyncIterator[Book]:
    """The same casebook."""
    async with open_book(dsn, connections=2) as made:
        yield made


@pytest.fixture(scope="session")
async def varied(postgres: Cluster, template: str) -> AsyncIterator[Book]:
    """A casebook with the cases of `variety`, which stay as they are."""
    address = await postgres.fresh_database(f"TEMPLATE {template}")
    async with open_book(address) as made, open_book(address) as read:
        await variety(made)
        yield read


@pytest.fixture(scope="session")
async def divided(postgres: Cluster, template: str) -> AsyncIterator[Book]:
    """A casebook with the cases of `two_units`, which stay as they are."""
    address = await postgres.fresh_database(f"TEMPLATE {template}")
    connection = await asyncpg.connect(address)
    async with open_book(address) as made, open_book(address) as read:
        await two_units(made, connection)
        await connection.close()
        yield read


FACTS: dict[str, dict[str, Any]] = {
    "complaint": {"category": "delay"},
    "claim": {
        "factor": "damage",
        "claimant": {"relation": "sender"},
        "shipment": {"waybill": "SF-9", "posted_on": "2026-03-01", "base_freight": "20.00", "weight_kg": "1",
                     "route": "domestic", "insured_amount": "500.00"},
        "loss": {"total_value": "500.00", "lost_value": "500.00"},
    },
    "exception": {"source": "self_found", "known_at": at(NINE).isoformat()},
    "inquiry": {"shipment": {"waybill": "SF-8", "posted_on": "2026-03-01"}},
    "summary": {"month": "2026-02", "total": 0},
}  # fmt: skip


def opened(kind: str, key: str, moment: str = NINE, *, parent: str | None = None, **facts: Any) -> Case:
    """A case of a kind, opened at an instant (see `tests.core.support.at`)."""
    raw: dict[str, Any] = {
        "key": key,
        "received_at": at(moment).isoformat(),
        "facts": {**FACTS[kind], **facts},
    }
    if parent is not None:
        raw["parent"] = parent
    model = KINDS[kind]
    return model.open(read_intake(model.INTAKE, raw), default_policy(), at(moment))


async def record(book: Book, *cases: Case, personal: dict[str, Any] | None = None) -> None:
    """Record all events of cases that are not recorded yet."""
    for case in cases:
        case_id = f"{case.KIND}:{case.key}"
        events = [event.as_json() for event in case.events]
        # What is there already is left alone.
        await book.record(Batch(case_id, case.KIND, events, case.view(), "run-1", personal))


async def ids(read: Book, filter: Filter = Filter(), **how: Any) -> list[str]:  # noqa: B008 - a value
    """What a search finds."""
    page = await read.page(filter, **{**ALL, **how})
    return [view["id"] for view in page.cases]


# --- finding ----------------------------------------------------------------------------------------


async def variety(book: Book) -> None:
    """Five cases, each different in some way."""
    late = opened("complaint", "LATE", unit="HZ-01", shipment={"waybill": "SF-123-77", "posted_on": "2026-03-01"})
    pass_time(late, f"{DAY} 09:05:00")
    held = opened("complaint", "HELD", f"{DAY} 09:01:00", unit="HZ-02", severity="serious", category="damage")
    do(held, f"{DAY} 09:02:00", "acknowledge", SUPERVISOR)
    done = opened("inquiry", "DONE", f"{DAY} 09:02:00", unit="HZ-01")
    do(done, f"{DAY} 09:03:00", "reply", AGENT, stage="answer")
    gone = opened("claim", "GONE", f"{DAY} 09:03:00")
    do(gone, f"{DAY} 09:04:00", "withdraw", CUSTOMER)
    told = opened("exception", "TOLD", f"{DAY} 09:04:00", unit="HZ-01", category="late")
    await record(book, late, held, done, gone, told)


CASES = ["complaint:LATE", "complaint:HELD", "inquiry:DONE", "claim:GONE", "exception:TOLD"]
LATE, HELD, DONE, GONE, TOLD = CASES


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (Filter(), CASES),
        (Filter(kind="complaint"), [LATE, HELD]),
        (Filter(status="open"), [LATE, HELD, TOLD]),
        (Filter(status="resolved"), [DONE]),
        (Filter(status="closed"), [GONE]),
        (Filter(status="active"), [LATE, HELD, DONE, TOLD]),
        (Filter(rung="supervisor"), [LATE, HELD]),
        (Filter(holder="super-2"), [HELD]),
        (Filter(unit="HZ-01"), [LATE, DONE, TOLD]),
        (Filter(severity="serious"), [HELD]),
        (Filter(breached="rung"), [LATE]),
        (Filter(breached="answer"), []),
        (Filter(is_breached=True), [LATE]),
        (Filter(is_breached=False), [HELD, DONE, GONE, TOLD]),
        (Filter(due_before=at(f"{DAY} 09:10:01")), [LATE, HELD, TOLD]),
        (Filter(due_before=at(f"{DAY} 09:10:00")), [HELD, TOLD]),
        (Filter(number="2026-03-0002"), [HELD]),
        (Filter(waybill="SF-123-77"), [LATE]),
        (Filter(waybill="SF-123"), []),
        (Filter(opened_from=at(f"{DAY} 09:02:00")), [DONE, GONE]),
        (Filter(opened_to=at(f"{DAY} 09:01:00")), [LATE, TOLD]),
        (Filter(policy="default", kind="claim"), [GONE]),
        (Filter(policy="other"), []),
        (Filter(kind="complaint", unit="HZ-01", is_breached=True, text="late"), [LATE]),
    ],
)
async def test_filters(varied: Book, filter: Filter, found: list[str]) -> None:
    read = varied
    assert sorted(await ids(read, filter)) == sorted(found)
    assert sorted(await ids(read, filter, order="opened")) == sorted(found)
    assert [view["id"] async for view in read.rows(filter, **ALL)] == await ids(read, filter, order="opened")
    count = await read.count(filter, **ALL)
    assert count["total"] == len(found)
    assert count["by_kind"] == {kind: n for kind in KINDS if (n := sum(f"{kind}:" in id_ for id_ in found))}
    assert sum(count["by_status"].values()) == sum(count["by_rung"].values()) == len(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sf-123-77", [LATE]),
        ("SF-12", [LATE]),
        ("123", [LATE]),
        ("77", [LATE]),
        ("sf/123", [LATE]),
        ("sf", [LATE, DONE, GONE]),
        ("f-12", []),
        ("f-123", [LATE]),
        ("2377", [LATE]),
        ("3-00", []),
        ("3-0002", [HELD]),
        ("2026-03-0002", [HELD]),
        ("03-0002", [HELD]),
        ("0002", [HELD]),
        ("hz-01 del", [LATE]),
        ("hz-01 delay damage", []),
        ("complaint dama", [HELD]),
        ("self_found", [TOLD]),
        ("found", [TOLD]),
        ("withdrawn", [GONE]),
        ("sender", []),
        ("default", CASES),
        ("张", []),
        ("'", []),
        ("sf & ! |", []),
        ("  ", []),
        ("nothing", []),
    ],
)
async def test_a_text_finds_beginnings_of_parts(varied: Book, text: str, found: list[str]) -> None:
    read = varied
    assert sorted(await ids(read, Filter(text=text))) == sorted(found)
    assert (await read.count(Filter(text=text), **ALL))["total"] == len(found)


async def test_a_text_that_finds_many_finds_the_same(varied: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    read = varied
    everywhere = await read.count(Filter(text="sf"), **ALL)
    assert (everywhere["total"], everywhere["more"]) == (3, False)
    monkeypatch.setattr(search, "FEW", 1)
    assert await ids(read, Filter(text="sf"), order="opened") == [GONE, DONE, LATE]
    by_due = [one for one in await ids(read) if one in (GONE, DONE, LATE)]
    assert await ids(read, Filter(text="sf")) == by_due
    paged, after = [], None
    for _ in by_due:
        page = await read.page(Filter(text="sf"), **ALL, limit=1, after=after)
        paged += [view["id"] for view in page.cases]
        after = page.after
    assert (paged, after) == (by_due, None)
    assert await ids(read, Filter(text="sf", waybill="SF-8")) == [DONE]
    assert await ids(read, Filter(text="hz", waybill="SF-123-77")) == [LATE]
    # Nobody reads how many more they are, save for active cases, which are few.
    count = await read.count(Filter(text="sf"), **ALL)
    assert (count["total"], count["more"]) == (1, True)
    count = await read.count(Filter(text="sf", status="active"), **ALL)
    assert (count["by_kind"], count["more"]) == ({"complaint": 1, "inquiry": 1}, False)
    monkeypatch.setattr(search, "FEW", 0)
    assert await ids(read, Filter(waybill="SF-8")) == [DONE]
    assert await ids(read, Filter(waybill="SF-8", text="withdrawn")) == []
    assert (await read.count(Filter(waybill="SF-8", status="resolved"), **ALL))["total"] == 1


async def test_what_a_case_is_found_by_follows_the_case(book: Book, read: Book) -> None:
    case = opened("complaint", "C-1", unit="HZ-01")
    await record(book, case)
    assert await ids(read, Filter(text="c-1 withdrawn")) == []
    do(case, f"{DAY} 09:01:00", "withdraw", CUSTOMER)
    await record(book, case)
    assert await ids(read, Filter(text="c-1 withdrawn")) == ["complaint:C-1"]


async def test_no_text_finds_personal_data(book: Book, read: Book) -> None:
    """Nor what people wrote about a case, which may be personal too; nor does any answer hold it."""
    personal = {
        "customer": {"name": "Zhang San", "phone": "13800000000", "email": "zhang@example.org", "ref": "VIP-1"},
        "description": "angry",
        "question": "whereabouts",
    }
    complaint = opened("complaint", "C-1", customer=personal["customer"], description="angry")
    do(complaint, f"{DAY} 09:01:00", "note", AGENT, text="confidential")
    do(complaint, f"{DAY} 09:02:00", "reply", AGENT, stage="interim", text="confidential")
    do(complaint, f"{DAY} 09:03:00", "propose", AGENT, options=["voucher", "gift"])
    inquiry = opened("inquiry", "Q-1", customer=personal["customer"], question="whereabouts")
    exception = opened("exception", "E-1", customer=personal["customer"])
    do(exception, f"{DAY} 09:10:00", "find", QA, cause="packed badly", responsibility="Zhang San", report="genuine")
    claim = opened("claim", "L-1", customer=personal["customer"])
    await record(book, complaint, inquiry, exception, claim, personal=personal)

    everything = json.dumps([await ids(read), (await read.page(Filter(), **ALL)).cases], ensure_ascii=False)
    for word in (*SECRETS, *WRITTEN):
        assert await ids(read, Filter(text=word)) == [], word
    assert [word for word in (*SECRETS, *WRITTEN) if word in everything.lower()] == []
    assert len(await ids(read, Filter(text="delay"))) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "Parcel"}, "kind = 'Parcel': allowed: complaint, claim, exception, inquiry"),
        ({"status": "late"}, "status = 'late': allowed: open, resolved, closed, active"),
        ({"severity": "high"}, "severity = 'high': allowed: normal, serious, critical"),
        ({"due_before": datetime(2026, 3, 10)}, "due_before = .*: Input should have timezone info"),  # noqa: DTZ001
        ({"opened_to": datetime.min.replace(tzinfo=UTC)}, "opened_to = .* years 2000 to 9998"),
        ({"text": "a\0b"}, "text: a text holds no NUL"),
        ({"holder": "\ud800"}, "holder = .*: Input should be a valid string"),
        ({"waybill": ""}, "waybill = '': String should have at least 1 character"),
        ({"text": "x" * 201}, "text: String should have at most 200 characters"),
        ({"branch": "HZ-01"}, "branch is not a known field"),
    ],
)
def test_a_wrong_filter_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message.replace("+", r"\+")) as caught:
        Filter.read(fields)
    assert caught.value.code == "invalid"


async def test_the_name_of_a_deadline_means_any_of_its_sort(book: Book, read: Book) -> None:
    kept, broken = (opened("complaint", f"P-{n}") for n in (1, 2))
    for case in (kept, broken):
        do(case, f"{DAY} 09:01:00", "promise", AGENT, reply_by=at(f"{DAY} 09:20:00").isoformat())
    do(kept, f"{DAY} 09:02:00", "reply", AGENT, stage="answer", text="confidential")
    for case in (kept, broken):
        pass_time(case, f"{DAY} 09:21:00")
    await record(book, kept, broken)
    for name in ("promise", "promise:1"):
        assert await ids(read, Filter(breached=name)) == ["complaint:P-2"], name
    assert await ids(read, Filter(breached="promise:2")) == []
    assert await ids(read, Filter(breached="prom")) == []


async def test_a_value_of_a_filter_is_never_sql(varied: Book) -> None:
    for name in ("rung", "holder", "unit", "breached", "number", "waybill", "policy", "text"):
        evil = Filter.read({name: "x' OR true) --"})
        assert await ids(varied, evil) == []
        assert "OR true" not in evil.where(1)[0]


# --- paging -----------------------------------------------------------------------------------------


async def walk(page: Callable[[str | None], Awaitable[Page]], between: Callable[[int], Awaitable[None]]) -> list[str]:
    """The ids of all pages, with something happening between two of them."""
    found: list[str] = []
    after: str | None = None
    for number in range(50):
        got = await page(after)
        found += [view["id"] for view in got.cases]
        after = got.after
        if after is None:
            return found
        await between(number)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("order", ["due", "opened"])
async def test_pages_stay_in_order_while_cases_change(book: Book, read: Book, order: Any) -> None:
    """Twelve cases of which four are moved, ended or taken up, while others arrive."""
    cases = [opened("complaint", f"C-{n:02}", f"{DAY} 09:{n // 2:02}:00") for n in range(12)]
    await record(book, *cases)
    moved = cases[1::3]

    async def change(number: int) -> None:
        if number < len(moved):
            case = moved[number]
            moment = f"{DAY} 09:4{number}:00"
            pass_time(case, moment)
            do(case, moment, *(("withdraw", CUSTOMER) if number % 2 else ("acknowledge", GM)))
            # One before all others in either order, one behind.
            early, late = f"{DAY} 08:0{number}:00", f"{DAY} 11:0{number}:00"
            await record(book, case, opened("claim", f"E-{number}", early), opened("claim", f"L-{number}", late))

    found = await walk(lambda after: read.page(Filter(), **ALL, order=order, limit=2, after=after), change)
    still = [f"complaint:{case.key}" for case in cases if case not in moved]
    assert [id_ for id_ in found if id_ in still] == (still if order == "due" else still[::-1])
    if order == "opened":
        # No case is seen twice, and none that was there is missed, whatever happened to it.
        assert len(found) == len(set(found))
        assert {f"complaint:{case.key}" for case in cases} <= set(found)


async def test_the_last_page_says_so(varied: Book) -> None:
    read = varied
    first = await read.page(Filter(), **ALL, limit=4)
    assert len(first.cases) == 4
    assert first.after is not None
    last = await read.page(Filter(), **ALL, limit=4, after=first.after)
    assert [view["id"] for view in last.cases] == [GONE]
    assert last.after is None
    assert (await read.page(Filter(), **ALL, limit=5)).after is None


def cursor(*place: Any) -> str:
    return urlsafe_b64encode(json.dumps(place).encode()).decode()


@pytest.mark.parametrize(
    "after",
    ["", "x", "ünd", "====", "a" * 5000, cursor(), cursor("due"), cursor("due", "infinity"),
     cursor("due", "infinity", 1),
     cursor("due", "soon", "complaint:C-1"), cursor("due", "2026-03-10T09:00:00", "complaint:C-1"),
     cursor("due", "infinity", "a\0b"), cursor("due", "infinity", "\ud800"), cursor("due", 7, "complaint:C-1"),
     cursor("due", "infinity", "complaint:C-1", 1), cursor("opened", "infinity", "complaint:C-1"),
     cursor("due", "0001-01-01T00:00:00+08:00", "complaint:C-1"), cursor("approval", "infinity", "c", 1),
     urlsafe_b64encode(b"[" * 100_000).decode(), urlsafe_b64encode(b'{"a": 1}').decode(),
     urlsafe_b64encode(b"\xff\xfe").decode()],
)  # fmt: skip
async def test_a_wrong_cursor_is_refused(read: Book, after: str) -> None:
    with pytest.raises(Refused, match=r"after = .*: allowed is what the page before gave") as caught:
        await read.page(Filter(), **ALL, after=after)
    assert caught.value.code == "invalid"


async def test_a_cursor_that_only_python_reads_gives_a_page(varied: Book) -> None:
    after = cursor("due", "2026-W11-2T09:00:00+08:00", "complaint:C-1")
    assert len((await varied.page(Filter(), **ALL, after=after)).cases) == len(CASES)


@pytest.mark.parametrize("number", [0, -1, 2**31, True, "1", 1.5, None])
async def test_a_wrong_cursor_of_approvals_is_refused(read: Book, number: Any) -> None:
    with pytest.raises(Refused, match="after = "):
        await read.approvals(roles={"agent"}, not_by="x", **ALL, after=cursor("approval", "infinity", "c", number))


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_every_list_has_an_end(read: Book, limit: int) -> None:
    for ask in (
        read.page(Filter(), **ALL, limit=limit),
        read.approvals(roles={"agent"}, not_by="x", **ALL, limit=limit),
        read.now("agent", "agent-7", **ALL, limit=limit),
        read.board(**ALL, each=limit),
    ):
        with pytest.raises(Refused, match=f"limit = {limit}: allowed is 1 to 1000"):
            await ask
    wrong: Any = "number"
    with pytest.raises(Refused, match="order = 'number': allowed: due, opened"):
        await read.page(Filter(), **ALL, order=wrong)


# --- who may see what -------------------------------------------------------------------------------


async def two_units(book: Book, superuser: asyncpg.Connection) -> None:
    """In each of two units and in none: a complaint that waits for a decision, and a claim of it to be paid."""
    for unit, prefix in (("HZ-01", "A"), ("HZ-02", "B"), (None, "H")):
        facts = {} if unit is None else {"unit": unit}
        complaint = opened("complaint", f"{prefix}-1", **facts)
        do(complaint, f"{DAY} 09:01:00", "request_approval", AGENT, subject="voucher", amount="500.00")
        claim = opened("claim", f"{prefix}-2", parent=f"complaint:{prefix}-1", **facts)
        for minute, (name, by) in enumerate(
            [("acknowledge", AGENT), ("answer_claim", AGENT), ("assess", AGENT), ("offer", AGENT),
             ("approve", SUPERVISOR), ("accept_offer", CUSTOMER)], 1
        ):  # fmt: skip
            do(claim, f"{DAY} 09:0{minute}:00", name, by, **({"cause": "company"} if name == "assess" else {}))
        # Children in the other units, so that a link leads out of what may be seen.
        strange = opened("inquiry", f"{prefix}-3", parent="complaint:A-1", **facts)
        pass_time(strange, f"{DAY} 09:40:00")
        await record(book, complaint, claim, strange)
        await waits(superuser, f"claim:{prefix}-2")


async def waits(superuser: asyncpg.Connection, case_id: str, state: str = "waiting", gateway: str = "manual") -> None:
    """What the payout activity writes when an order does not come out at once."""
    await superuser.execute(
        "INSERT INTO payout (key, case_id, amount, state, requested_at, settled_at, gateway)"
        " VALUES ($1, $1, 5, $2, now(), CASE WHEN $2 = 'failed' THEN now() END, $3)",
        case_id, state, gateway,
    )  # fmt: skip


async def _search(read: Book, **seen: Any) -> list[str]:
    return [view["id"] for view in (await read.page(Filter(), **seen)).cases]


async def _newest(read: Book, **seen: Any) -> list[str]:
    return [view["id"] for view in (await read.page(Filter(), **seen, order="opened")).cases]


async def _text(read: Book, **seen: Any) -> list[str]:
    return [view["id"] for view in (await read.page(Filter(text="default"), **seen)).cases]


async def _rows(read: Book, **seen: Any) -> list[str]:
    return [view["id"] async for view in read.rows(Filter(), **seen)]


async def _events(read: Book, **seen: Any) -> list[str]:
    return sorted({view["id"] async for view, _ in read.event_rows(Filter(), **seen)})


async def _approvals(read: Book, **seen: Any) -> list[str]:
    page = await read.approvals(roles={"supervisor"}, not_by="super-2", **seen)
    return [line["case"]["id"] for line in page.cases]


async def _held(read: Book, **seen: Any) -> list[str]:
    return [line["case"]["id"] for line in (await read.now("agent", "agent-7", **seen)).lines]


async def _asked(read: Book, **seen: Any) -> list[str]:
    return [line["case"]["id"] for line in (await read.now("supervisor", "super-2", **seen)).lines]


async def _to_pay(read: Book, **seen: Any) -> list[str]:
    return [line["case"]["id"] for line in (await read.now("finance", "fin-1", **seen)).lines]


async def _board(read: Book, **seen: Any) -> list[str]:
    return [case["id"] for rung in (await read.board(**seen)).values() for case in rung["cases"]]


async def _linked(read: Book, **seen: Any) -> list[str]:
    return [view["id"] for view in await read.linked("complaint:A-1", **seen)]


LISTS = [_search, _newest, _text, _rows, _events, _approvals, _held, _asked, _to_pay, _board, _linked]


@pytest.mark.parametrize("listed", LISTS)
async def test_nobody_sees_another_unit(divided: Book, listed: Callable[..., Awaitable[list[str]]]) -> None:
    everything = await listed(divided, **ALL)
    for units, keys in (({"HZ-01"}, "A"), ({"HZ-02"}, "B"), ({""}, "H"), ({"HZ-01", ""}, "AH"), ({"X"}, ""), ((), "")):
        seen = await listed(divided, units=units, kinds=None)
        assert sorted(seen) == sorted(id_ for id_ in everything if id_.partition(":")[2][0] in keys), units
    # So that the loop above did not compare nothing with nothing.
    assert {id_.partition(":")[2][0] for id_ in everything} == {"A", "B", "H"}


@pytest.mark.parametrize("listed", LISTS)
async def test_nobody_sees_another_kind(divided: Book, listed: Callable[..., Awaitable[list[str]]]) -> None:
    everything = await listed(divided, **ALL)
    for kinds in ({"complaint"}, {"claim", "inquiry"}, set()):
        seen = await listed(divided, units=None, kinds=frozenset(kinds))
        assert sorted(seen) == sorted(id_ for id_ in everything if id_.partition(":")[0] in kinds)


async def test_what_may_not_be_seen_is_not_counted(divided: Book) -> None:
    read = divided
    since = at(f"{DAY} 00:00:00")
    for seen, cases in ((ALL, 9), ({"units": {"HZ-01"}, "kinds": None}, 3), ({"units": (), "kinds": None}, 0),
                        ({"units": {"HZ-01", "HZ-02"}, "kinds": {"inquiry"}}, 2)):  # fmt: skip
        assert (await read.count(Filter(), **seen))["total"] == cases
        numbers = await read.tables(**seen, since=since)
        assert sum(line["cases"] for line in numbers["load"]) == cases
        assert sum(line["cases"] for line in numbers["open"]) == cases
        board = await read.board(**seen)
        assert sum(rung["count"] for rung in board.values()) == cases
    only = await read.tables(units={"HZ-01"}, kinds=None, since=since)
    # The inquiry is late; the supervisor it went to has not taken it up, and has no clock to do so.
    assert only["breaches"] == [{"clock": "inquiry", "unit": "HZ-01", "breaches": 1}]
    assert [(line["rung"], line["acknowledged"]) for line in only["acknowledged"]] == [("agent", 1)]
    nothing = await read.tables(units=(), kinds=None, since=since)
    assert [nothing[name] for name in ("open", "breaches", "acknowledged", "load", "money")] == [[]] * 5


# --- approvals --------------------------------------------------------------------------------------


async def test_approvals_that_wait_for_a_role(book: Book, read: Book) -> None:
    first, second = opened("complaint", "C-1"), opened("complaint", "C-2", f"{DAY} 09:00:30")
    for case, moment in ((first, f"{DAY} 09:02:00"), (second, f"{DAY} 09:01:00")):
        do(case, moment, "acknowledge")
        do(case, moment, "request_approval", AGENT, subject="voucher", amount="500.00")
    do(first, f"{DAY} 09:03:00", "request_approval", AGENT, subject="gift", amount="9000.00")
    await record(book, first, second)

    async def waiting(role: str, not_by: str = "super-2") -> list[tuple[str, str]]:
        page = await read.approvals(roles={role}, not_by=not_by, **ALL)
        return [(line["case"]["id"], line["approval"]["subject"]) for line in page.cases]

    # What is due first comes first, not what was filed first.
    assert await waiting("supervisor") == [("complaint:C-2", "voucher"), ("complaint:C-1", "voucher")]
    assert await waiting("supervisor", not_by="agent-7") == []
    assert await waiting("qa_manager") == [("complaint:C-1", "gift")]
    assert await waiting("agent") == await waiting("general_manager") == []
    page = await read.approvals(roles={"qa_manager"}, not_by="x", **ALL)
    assert page.cases[0]["approval"] == {
        "subject": "gift", "amount": "9000.00", "role": "qa_manager", "requested_by": "agent-7", "state": "open",
        "also": [], "number": 2, "due": at(f"{DAY} 09:33:00").astimezone(UTC).isoformat(),
    }  # fmt: skip

    # Nobody decides: it is asked of the next, and no longer of the one before.
    pass_time(second, f"{DAY} 09:31:00")
    do(first, f"{DAY} 09:31:30", "approve", SUPERVISOR, subject="voucher")
    await record(book, first, second)
    assert await waiting("supervisor") == []
    assert await waiting("qa_manager") == [("complaint:C-1", "gift"), ("complaint:C-2", "voucher")]
    # What waits in a case that ends waits no more.
    do(second, f"{DAY} 09:32:00", "withdraw", CUSTOMER)
    await record(book, second)
    assert await waiting("qa_manager") == [("complaint:C-1", "gift")]


async def test_pages_of_approvals(book: Book, read: Book) -> None:
    asked = []
    for number in range(5):
        case = opened("complaint", f"C-{number}")
        do(case, f"{DAY} 09:01:00", "acknowledge")
        for subject in ("voucher", "gift"):
            do(case, f"{DAY} 09:0{9 - number}:00", "request_approval", AGENT, subject=subject, amount="500.00")
        await record(book, case)
        asked += [(f"complaint:C-{number}", "gift"), (f"complaint:C-{number}", "voucher")]
    found: list[tuple[str, str]] = []
    after = None
    while True:
        page = await read.approvals(roles={"supervisor"}, not_by="x", **ALL, limit=3, after=after)
        found += [(line["case"]["id"], line["approval"]["subject"]) for line in page.cases]
        after = page.after
        if after is None:
            break
        assert len(page.cases) == 3
    assert found == sorted(asked, reverse=True)


# --- now --------------------------------------------------------------------------------------------


async def needed(read: Book, by: dict[str, str], **how: Any) -> list[tuple[str, str, str | None]]:
    """Why, which case, and when it is due in Shanghai."""
    lines = (await read.now(by["role"], by["id"], **{**ALL, **how})).lines
    local = at(NINE).tzinfo
    return [
        (line["why"], line["case"]["id"],
         line["due"] and f"{datetime.fromisoformat(line['due']).astimezone(local):%m-%d %H:%M:%S}")
        for line in lines
    ]  # fmt: skip


async def several(book: Book) -> None:
    """Four complaints that wait for an agent, alike in nothing."""
    for number, unit, severity, category in (
        (1, "HZ-02", "normal", "delay"), (2, "HZ-01", "critical", "loss"), (3, None, "serious", "delay"),
        (4, "HZ-01", "normal", "other"),
    ):  # fmt: skip
        facts = {"category": category, "severity": severity, **({"unit": unit} if unit else {})}
        case = opened("complaint", f"S-{number}", f"{DAY} 09:0{5 - number}:00", **facts)
        if case.ladder.rung != "agent":
            do(case, f"{DAY} 09:0{5 - number}:30", "assign", GM, to=AGENT)
        await record(book, case)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("due", "4321"),
        ("oldest", "4321"),
        # Of a unit what is due first, and those of headquarters before all.
        ("unit", "3421"),
        ("severity", "2341"),
        ("kind", "4321"),
    ],
)
async def test_now_has_an_order(book: Book, read: Book, order: str, found: str) -> None:
    await several(book)
    lines = await needed(read, AGENT, order=order)
    assert [id_.partition("-")[2] for _, id_, _ in lines] == list(found)


async def test_now_is_narrowed_and_still_counted_whole(book: Book, read: Book) -> None:
    await several(book)
    page = await read.now("agent", "agent-7", **ALL, limit=2)
    assert (len(page.lines), page.total) == (2, 4)
    ways: list[tuple[dict[str, Any], str]] = [
        ({"filter": Filter(unit="HZ-01")}, "42"),
        ({"filter": Filter(unit="HZ-01", severity="normal")}, "4"),
        ({"only": ["complaint:S-1", "complaint:none"]}, "1"),
        ({"only": []}, ""),
        ({"why": "holder"}, "32"),
        ({"why": "approval"}, ""),
    ]
    for how, found in ways:
        lines = await needed(read, AGENT, **how)
        assert [id_.partition("-")[2] for _, id_, _ in lines] == list(found), how
    with pytest.raises(Refused, match="order = 'number': allowed: due, "):
        await read.now("agent", "agent-7", **ALL, order="number")
    with pytest.raises(Refused, match="why = 'none': allowed: holder, "):
        await read.now("agent", "agent-7", **ALL, why="none")


# --- decided ----------------------------------------------------------------------------------------


async def decided(read: Book, person: str, since: str = f"{DAY} 09:00:00", **how: Any) -> list[tuple[str, ...]]:
    """What was decided, of which case, about what, and by whom."""
    lines = await read.decided(person, at(since), **{**ALL, **how})
    return [(one["decision"], one["case"]["id"], one["subject"], one["actor"]["id"]) for one in lines]


async def test_a_person_is_told_what_others_decided_of_what_they_asked(book: Book, read: Book) -> None:
    case = opened("complaint", "D-1", unit="HZ-01")
    ask: dict[str, Any] = {"subject": "voucher", "amount": "500.00"}
    do(case, f"{DAY} 09:01:00", "request_approval", AGENT, **ask)
    do(case, f"{DAY} 09:02:00", "request_approval", AGENT, subject="apology", amount="400.00")
    do(case, f"{DAY} 09:03:00", "reject", SUPERVISOR, subject="voucher", reason="too much")
    # Asked again, and by somebody else.
    do(case, f"{DAY} 09:04:00", "request_approval", {"id": "agent-8", "role": "agent"}, **ask)
    await record(book, case)
    no, yes = ((word, "complaint:D-1", "voucher", "super-2") for word in ("rejected", "approved"))
    assert await decided(read, "agent-7") == [no]
    assert await decided(read, "agent-8") == []
    do(case, f"{DAY} 09:05:00", "approve", SUPERVISOR, subject="voucher")
    await record(book, case)
    assert await decided(read, "agent-7") == [no]
    assert await decided(read, "agent-8") == [yes]
    # Seen up to here; of another unit, or of a kind that they do not see.
    assert await decided(read, "agent-7", f"{DAY} 09:03:00") == []
    assert await decided(read, "agent-8", units=["HZ-02"]) == []
    assert await decided(read, "agent-8", kinds=["claim"]) == []
    assert await decided(read, "super-2") == []
    [line] = await read.decided("agent-8", at(NINE), **ALL)
    assert (line["amount"], line["at"]) == ("500.00", at(f"{DAY} 09:05:00").astimezone(UTC).isoformat())


def leave(key: str, *, filed_by: str = "agent-7") -> Case:
    """A leave that somebody filed at nine."""
    policy = default_policy()
    days = {name: at(f"{DAY} {hour}:00:00").isoformat() for name, hour in (("from", 13), ("to", 18))}
    facts = {
        "filed_by": {"id": filed_by, "role": "agent"},
        "unit": "HZ-02",
        "fields": {**days, "emergency": True, "reason": "confidential"},
    }
    kind = form_of("leave", policy)
    intake = read_intake(kind.INTAKE, {"key": key, "received_at": at(NINE).isoformat(), "facts": facts})
    return kind.open(intake, policy, at(NINE))


async def test_who_filed_a_form_is_told_once_how_it_stands(book: Book, read: Book) -> None:
    granted, not_granted, waiting, other = leave("L-1"), leave("L-2"), leave("L-3"), leave("L-4", filed_by="agent-8")
    do(granted, f"{DAY} 09:01:00", "sign", SUPERVISOR)
    do(not_granted, f"{DAY} 09:02:00", "refuse", SUPERVISOR, reason="confidential")
    do(other, f"{DAY} 09:03:00", "sign", SUPERVISOR)
    await record(book, granted, not_granted, waiting, other)
    no, yes = ("form_refused", "leave:L-2", "superior", "super-2"), ("form_completed", "leave:L-1", None, "super-2")
    assert await decided(read, "agent-7") == [no, yes]
    # Theirs, whatever else they see.
    assert await decided(read, "agent-7", units=["HZ-01"], kinds=["claim"]) == [no, yes]
    assert await decided(read, "agent-7", f"{DAY} 09:01:00") == [no]
    assert await decided(read, "super-2") == []


async def test_what_was_asked_and_what_was_filed_are_found_by_their_indexes(dsn: str) -> None:
    async with Database.open(dsn) as database, database.connection() as connection:
        await connection.execute("SET enable_seqscan = off")
        values = (None, None, "agent-7", at(NINE), 20, list(KINDS))
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {Worklist._DECIDED}", *values))
    assert "case_event_asked" in plan
    assert "case_file_filed_by" in plan


async def test_now_is_what_a_person_holds_and_what_reached_their_rung(book: Book, read: Book) -> None:
    mine, waiting, other = (opened("complaint", f"C-{n}", f"{DAY} 09:00:0{n}") for n in range(3))
    do(mine, f"{DAY} 09:01:00", "acknowledge", AGENT)
    do(other, f"{DAY} 09:01:00", "acknowledge", {"id": "agent-8", "role": "agent"})
    question = opened("inquiry", "Q-1", f"{DAY} 09:00:00")
    await record(book, mine, waiting, other, question)
    assert await needed(read, AGENT) == [
        # The broadcast's clock, which runs on whoever holds the case.
        ("holder", "complaint:C-0", "03-10 09:05:00"),
        ("rung", "complaint:C-1", "03-10 09:05:01"),
        # An inquiry has no rung clock.
        ("rung", "inquiry:Q-1", "03-10 09:20:00"),
    ]
    assert await needed(read, SUPERVISOR) == []

    pass_time(waiting, f"{DAY} 09:05:01")
    await record(book, waiting)
    assert await needed(read, SUPERVISOR) == [("rung", "complaint:C-1", "03-10 09:10:01")]
    assert ("rung", "complaint:C-1") not in [line[:2] for line in await needed(read, AGENT)]
    # Given to a person of the rung, it is theirs first.
    do(waiting, f"{DAY} 09:06:00", "assign", SUPERVISOR, to=AGENT)
    await record(book, waiting)
    assert ("holder", "complaint:C-1") in [line[:2] for line in await needed(read, AGENT)]
    assert ("rung", "complaint:C-1") not in [line[:2] for line in await needed(read, AGENT)]


async def test_now_says_that_the_customer_had_the_last_word(book: Book, read: Book) -> None:
    case, system = opened("complaint", "C-1"), {"id": "caseladder", "role": "system"}

    async def wrote() -> list[bool]:
        await record(book, case)
        return [line["wrote"] for line in (await read.now("agent", "agent-7", **ALL)).lines]

    do(case, f"{DAY} 09:01:00", "reply", AGENT, stage="interim")
    do(case, f"{DAY} 09:02:00", "acknowledge", AGENT)
    assert await wrote() == [False]
    said = {"text": "It is still not here.", "via": "mail"}
    answers: list[tuple[str, dict[str, Any]]] = [
        ("reply", {"stage": "answer"}), ("log_contact", {"reached": True}), ("resolve", {}),
    ]  # fmt: skip
    for minute, (name, fields) in enumerate(answers, start=1):
        do(case, f"{DAY} 09:{minute}0:00", "customer_wrote", system, **said)
        do(case, f"{DAY} 09:{minute}1:00", "note", AGENT, text="asked the depot")
        assert await wrote() == [True]
        do(case, f"{DAY} 09:{minute}2:00", name, AGENT, **fields)
        assert await wrote() == [False], name


async def test_at_the_top_what_is_overdue_stands_first(book: Book, read: Book) -> None:
    climbed, fresh = opened("complaint", "C-1"), opened("complaint", "C-2", f"{DAY} 09:10:00")
    pass_time(climbed, f"{DAY} 10:00:00")
    pass_time(fresh, f"{DAY} 09:26:00")
    await record(book, climbed, fresh)
    assert await needed(read, GM) == [
        ("rung", "complaint:C-1", "03-10 09:20:00"),
        ("rung", "complaint:C-2", "03-10 09:30:00"),
    ]
    assert await needed(read, GM, limit=1) == [("rung", "complaint:C-1", "03-10 09:20:00")]


async def test_a_resolved_case_needs_its_holder_while_something_runs(book: Book, read: Book) -> None:
    case = opened("complaint", "C-1")
    do(case, f"{DAY} 09:01:00", "resolve", AGENT)
    await record(book, case)
    assert await needed(read, AGENT) == [("holder", "complaint:C-1", "03-10 09:05:00")]
    pass_time(case, f"{DAY} 09:06:00")
    await record(book, case)
    assert await needed(read, AGENT) == [("holder", "complaint:C-1", "03-13 23:59:59")]
    do(case, f"{DAY} 09:20:00", "follow_up", AGENT, satisfied=True)
    await record(book, case)
    assert await needed(read, AGENT) == []


async def test_now_asks_for_approvals(book: Book, read: Book) -> None:
    case = opened("complaint", "C-1")
    do(case, f"{DAY} 09:01:00", "acknowledge", AGENT)
    do(case, f"{DAY} 09:02:00", "request_approval", AGENT, subject="voucher", amount="500.00")
    await record(book, case)
    assert await needed(read, SUPERVISOR) == [("approval", "complaint:C-1", "03-10 09:32:00")]
    # Not of whoever asked, under whatever role.
    held = [("holder", "complaint:C-1", "03-10 09:05:00")]
    assert await needed(read, {"id": "agent-7", "role": "supervisor"}) == await needed(read, AGENT) == held
    do(case, f"{DAY} 09:03:00", "reject", SUPERVISOR, reason="no")
    await record(book, case)
    assert await needed(read, SUPERVISOR) == []


@pytest.mark.parametrize(
    ("state", "gateway", "listed"),
    [
        ("waiting", "manual", True),
        ("failed", "https://pay.example.org", True),
        # A gateway has it, and will say what came of it.
        ("waiting", "https://pay.example.org", False),
        ("requested", "ledger", False),
    ],
)
async def test_finance_confirms_what_no_gateway_pays(
    book: Book, read: Book, superuser: asyncpg.Connection, state: str, gateway: str, listed: bool
) -> None:
    await two_units(book, superuser)
    await superuser.execute("DELETE FROM payout")
    await waits(superuser, "claim:A-2", state, gateway)
    due = [("payout", "claim:A-2", "03-17 23:59:59")] if listed else []
    assert await needed(read, FINANCE) == due
    assert ("payout", "claim:A-2") not in [line[:2] for line in await needed(read, AGENT)]


async def test_now_asks_for_signatures(book: Book, read: Book) -> None:
    manager = {"id": "pm-1", "role": "project_manager"}
    case = opened("summary", "2026-02")
    await record(book, case)
    assert [line[:2] for line in await needed(read, manager)] == [("signature", "summary:2026-02")]
    # Those who only head the ladder hear of it when it is late.
    assert await needed(read, AGENT) == []
    do(case, f"{DAY} 09:01:00", "sign", manager, text="trained")
    await record(book, case)
    role = case.view()["turn"][0]
    assert role != "project_manager"
    [(why, id_, due)] = await needed(read, {"id": "x-1", "role": role})
    assert (why, id_, due) == ("signature", "summary:2026-02", "03-11 18:00:00")
    pass_time(case, "04-10 09:00:00")
    await record(book, case)
    assert [line[:2] for line in await needed(read, GM)] == [("rung", "summary:2026-02")]


async def test_the_staff_among_itself(book: Book, read: Book) -> None:
    out, relief = {"id": "agent-1", "role": "agent"}, {"id": "agent-2", "role": "agent"}
    ends = at(f"{DAY} 20:00:00").isoformat()
    shift = {"id": "S-1", "starts_at": at(f"{DAY} 12:00:00").isoformat(), "ends_at": ends}
    FACTS["handover"] = {"shift": "S-1", "outgoing": out, "relief": relief, "shift_ends_at": ends}
    FACTS["swap"] = {"initiator": out, "counterparty": relief, "given": shift}
    handover, swap = opened("handover", "S-1", f"{DAY} 19:40:00"), opened("swap", "W-1")
    await record(book, handover, swap)
    agrees = ("signature", "swap:W-1", "03-10 12:00:00")
    signs = ("signature", "handover:S-1", "03-10 20:00:00")
    assert await needed(read, out) == [signs]
    assert await needed(read, relief) == [agrees, signs]
    assert await needed(read, AGENT) == await needed(read, SUPERVISOR) == []
    do(swap, f"{DAY} 09:10:00", "agree", relief)
    do(handover, f"{DAY} 19:45:00", "sign", relief)
    await record(book, handover, swap)
    assert await needed(read, relief) == []
    assert await needed(read, SUPERVISOR) == [agrees]
    assert await needed(read, {"id": "agent-1", "role": "supervisor"}) == [signs]


@pytest.mark.long
async def test_now_reads_active_cases_only(postgres: Cluster, template: str) -> None:
    dsn = await postgres.fresh_database(f"TEMPLATE {template}")
    await fill(dsn, closed=2_000, opened=300)
    connection = await asyncpg.connect(dsn)
    await connection.execute("ANALYZE case_file")
    asked = (None, None, "supervisor", "super-2", False, 100, CLIMBING, None, None, "due", SEVERITIES, TALK)
    sql = Worklist._NOW.replace("{where}", "true")
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *asked))
    await connection.close()
    assert "Seq Scan" not in plan, plan
    for name in ("case_file_held", "case_file_untaken", "case_file_asking", "case_file_waiting"):
        assert f"Bitmap Index Scan on {name}" in plan, plan


@pytest.mark.long
async def test_links_are_found_without_reading_every_case(postgres: Cluster, template: str) -> None:
    dsn = await postgres.fresh_database(f"TEMPLATE {template}")
    await fill(dsn, closed=2_000, opened=300)
    connection = await asyncpg.connect(dsn)
    await connection.execute("ANALYZE case_file, case_search")
    asked = (None, None, "complaint:none", LINKS, SEVERAL)
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {Search._LINKED}", *asked))
    await connection.close()
    assert "Seq Scan" not in plan, plan
    assert "case_file_links" in plan, plan


# --- board, links, numbers --------------------------------------------------------------------------


async def test_the_board_shows_what_is_due_first_of_each_rung(book: Book, read: Book) -> None:
    await variety(book)
    for number in range(4):
        await record(book, opened("complaint", f"C-{number}", f"{DAY} 09:1{number}:00"))
    board = await read.board(**ALL, each=2)
    assert {
        rung: (one["count"], one["breached"], [case["id"] for case in one["cases"]]) for rung, one in board.items()
    } == {
        # The inquiry is resolved and the claim closed: they stand on nobody's rung.
        "agent": (5, 0, [TOLD, "complaint:C-0"]),
        "supervisor": (2, 1, [HELD, LATE]),
    }
    assert board["supervisor"]["cases"][0] == {
        "id": HELD, "kind": "complaint", "number": "2026-03-0002", "status": "open", "rung": "supervisor",
        "holder": "super-2", "acknowledged": True, "turn": [], "unit": "HZ-02", "severity": "serious", "breached": [],
        "opened_at": at(f"{DAY} 09:01:00").astimezone(UTC).isoformat(),
        "next_due": at(f"{DAY} 09:06:00").astimezone(UTC).isoformat(), "matter": "damage", "waybill": None,
    }  # fmt: skip
    assert board["supervisor"]["cases"][1]["waybill"] == "SF-123-77"


async def test_linked_cases(book: Book, read: Book) -> None:
    complaint = opened("complaint", "C-1", category="loss", shipment=FACTS["claim"]["shipment"])
    do(complaint, f"{DAY} 09:01:00", "open_claim", AGENT)
    claim = opened("claim", "C-1-claim", f"{DAY} 09:01:00", parent="complaint:C-1")
    again = opened("complaint", "C-2", f"{DAY} 10:00:00", parent="complaint:C-1")
    await record(book, complaint, claim, again, opened("complaint", "C-3"))

    async def linked(case_id: str) -> list[str]:
        return [view["id"] for view in await read.linked(case_id, **ALL)]

    assert await linked("complaint:C-1") == ["claim:C-1-claim", "complaint:C-2"]
    assert await linked("claim:C-1-claim") == ["complaint:C-1"]
    assert await linked("complaint:C-2") == ["complaint:C-1"]
    # Its claim is known by its id, also before it says where it comes from.
    complaint = opened("complaint", "C-4", category="loss", shipment=FACTS["claim"]["shipment"])
    do(complaint, f"{DAY} 09:01:00", "open_claim", AGENT)
    await record(book, complaint, opened("claim", "C-4-claim"))
    assert await linked("complaint:C-4") == ["claim:C-4-claim"]
    # What somebody linked is shown from either side, until it is unlinked; so is a duplicate.
    tied, late = opened("inquiry", "I-1", f"{DAY} 11:00:00"), opened("complaint", "C-5", f"{DAY} 11:00:00")
    do(tied, f"{DAY} 11:01:00", "link", AGENT, case="complaint:C-2")
    do(late, f"{DAY} 11:01:00", "merge", AGENT, into="complaint:C-2")
    order = {"case": "complaint:C-5", "received_at": at(f"{DAY} 11:00:00").isoformat()}
    do(again, f"{DAY} 11:01:01", "take_duplicate", SYSTEM.as_json(), **order)
    late.rehearse_effects(at(f"{DAY} 11:01:02"))
    await record(book, tied, late, again)
    assert await linked("complaint:C-2") == ["complaint:C-1", "complaint:C-5", "inquiry:I-1"]
    assert await linked("complaint:C-5") == await linked("inquiry:I-1") == ["complaint:C-2"]
    assert await read.linked("complaint:C-2", units=None, kinds=frozenset({"claim"})) == []
    do(tied, f"{DAY} 11:02:00", "unlink", AGENT, case="complaint:C-2")
    await record(book, tied)
    assert (await linked("complaint:C-2"), await linked("inquiry:I-1")) == (["complaint:C-1", "complaint:C-5"], [])
    assert await linked("complaint:C-3") == await linked("complaint:none") == await linked("a\0b") == []


async def test_numbers(book: Book, read: Book) -> None:
    # Taken up after 1 and after 3 minutes; climbed to the supervisor, who takes 2; taken by hand.
    one, three, climbed, taken = (opened("complaint", f"C-{n}", NINE, unit="HZ-01") for n in range(4))
    do(one, f"{DAY} 09:01:00", "acknowledge", AGENT)
    do(three, f"{DAY} 09:03:00", "acknowledge", AGENT)
    pass_time(climbed, f"{DAY} 09:05:00")
    do(climbed, f"{DAY} 09:07:00", "acknowledge", SUPERVISOR)
    do(taken, f"{DAY} 09:02:00", "assign", AGENT, to=AGENT)
    # Straight to the QA manager, and never an agent's.
    critical = opened("complaint", "C-4", f"{DAY} 09:00:00", severity="critical")
    do(critical, f"{DAY} 09:00:30", "acknowledge", QA)
    # Known for an hour before it was filed, taken up a minute after.
    known = at(f"{DAY} 08:00:00").isoformat()
    told = opened("exception", "E-1", NINE, known_at=known)
    do(told, f"{DAY} 09:01:00", "acknowledge", AGENT)
    paid = []
    for month, key in (("03-31 23:59:50", "L-1"), ("04-01 00:00:10", "L-2"), ("04-02 09:00:00", "L-3")):
        claim = opened("claim", key, f"{DAY} 10:00:00")
        for minute, (name, by) in enumerate(
            [("acknowledge", AGENT), ("answer_claim", AGENT), ("assess", AGENT), ("offer", AGENT),
             ("approve", SUPERVISOR), ("accept_offer", CUSTOMER)], 1
        ):  # fmt: skip
            do(claim, f"{DAY} 10:0{minute}:00", name, by, **({"cause": "company"} if name == "assess" else {}))
        claim.payout_waits(at(f"{DAY} 10:10:00"))
        do(claim, month, "confirm_payment", FINANCE, reference="BANK-1")
        paid.append(claim)
    await record(book, one, three, climbed, taken, critical, told, *paid)

    since = at(f"{DAY} 07:00:00")
    numbers = await read.tables(**ALL, since=since, at=at(f"{DAY} 10:30:00"))
    assert numbers["zone"] == "Asia/Shanghai"
    # The claims are paid, so that they are resolved.
    assert numbers["open"] == [
        {"rung": "agent", "age": "4h", "cases": 4},
        {"rung": "qa_manager", "age": "4h", "cases": 1},
        {"rung": "supervisor", "age": "4h", "cases": 1},
    ]
    waited = {line["rung"]: line for line in numbers["acknowledged"]}
    assert waited["qa_manager"] == {"rung": "qa_manager", "acknowledged": 1, "missed": 0, "p50": 30.0, "p90": 30.0}
    assert waited["supervisor"]["p50"] == 120.0
    # 1, 2 and 3 minutes, the report and three claims after one each; nobody waited for the hour before.
    agent = waited["agent"]
    assert (agent["acknowledged"], agent["p50"], agent["missed"]) == (7, 60.0, 1)
    assert agent["p90"] == pytest.approx(144.0)
    assert numbers["money"] == [
        {"month": "2026-03", "payouts": 1, "amount": "520.00"},
        {"month": "2026-04", "payouts": 2, "amount": "1040.00"},
    ]
    # 10 March 2026 is a Tuesday; the exception began at eight.
    load = [(line["weekday"], line["hour"], line["cases"]) for line in numbers["load"]]
    assert load == [(2, 8, 1), (2, 9, 5), (2, 10, 3)]
    assert {"clock": "rung", "unit": "HZ-01", "breaches": 1} in numbers["breaches"]

    # What is counted keeps to what may be seen, line by line.
    branch = await read.tables(units={"HZ-01"}, kinds=None, since=since)
    assert (branch["money"], sum(line["acknowledged"] for line in branch["acknowledged"])) == ([], 4)
    others = await read.tables(units={""}, kinds=None, since=since)
    assert (others["money"], sum(line["acknowledged"] for line in others["acknowledged"])) == (numbers["money"], 5)
    assert [line for line in others["breaches"] if line["unit"] is not None] == []
    complaints = await read.tables(units=None, kinds={"complaint"}, since=since)
    assert (complaints["money"], sum(line["acknowledged"] for line in complaints["acknowledged"])) == ([], 5)
    claims = await read.tables(units=None, kinds={"claim"}, since=since)
    assert (claims["money"], claims["acknowledged"][0]["acknowledged"]) == (numbers["money"], 3)
    # The broadcast of a complaint is none of theirs.
    assert {line["clock"] for line in complaints["breaches"]} == {"rung", "report"}
    assert {line["clock"] for line in claims["breaches"]} == {"payout", "rung"}

    utc = await read.tables(**ALL, since=since, zone="UTC")
    assert [(line["weekday"], line["hour"]) for line in utc["load"]] == [(2, 0), (2, 1), (2, 2)]
    assert [line["amount"] for line in utc["money"]] == ["1040.00", "520.00"]
    later = await read.tables(**ALL, since=at("04-02 00:00:00"))
    assert [line["payouts"] for line in later["money"]] == [1]
    assert later["load"] == []


async def test_numbers_need_an_offset(read: Book) -> None:
    with pytest.raises(Refused, match=r"since = .*: an instant needs an offset"):
        await read.tables(**ALL, since=datetime(2026, 3, 10))  # noqa: DTZ001


# --- rows for exports -------------------------------------------------------------------------------


async def test_rows_come_in_batches_and_all_of_them(book: Book, read: Book) -> None:
    cases = [opened("complaint", f"C-{n}", f"{DAY} 09:0{n}:00") for n in range(7)]
    await record(book, *cases)
    found = []
    async for view in read.rows(Filter(), **ALL, batch=2):
        found.append(view["id"])
        if len(found) == 3:
            # No connection is held meanwhile, so whoever reads slowly keeps nobody waiting.
            assert read.database._pool.get_idle_size() == read.database._pool.get_size()
    assert found == [f"complaint:C-{n}" for n in range(6, -1, -1)]


async def test_events_come_with_their_case_and_in_order(varied: Book) -> None:
    read = varied
    found = read.event_rows(Filter(), **ALL, batch=2)
    rows = [(view["id"], event["seq"], event["type"]) async for view, event in found]
    by_case: dict[str, list[int]] = {}
    for case_id, seq, _ in rows:
        by_case.setdefault(case_id, []).append(seq)
    assert set(by_case) == set(CASES)
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_case.values())
    assert (GONE, by_case[GONE][-1], "closed") in rows


# --- the tables -------------------------------------------------------------------------------------


async def test_a_populated_casebook_is_brought_along(postgres: Cluster) -> None:
    now, dsn = await postgres.fresh_database(), await postgres.fresh_database()
    await migrate(now)
    await migrate(dsn, "0006")
    async with open_book(now) as book, open_book(dsn) as read, Database.open(dsn) as old:
        await variety(book)
        await _as_it_was(book, old)
        await migrate(dsn)
        assert await ids(read, Filter(text="sf-123")) == [LATE]
        assert await ids(read, Filter(waybill="SF-8")) == [DONE]
        assert await ids(read, Filter(text="withdrawn")) == [GONE]
        assert (await read.verify()).ok
        assert await read.events(DONE) == await book.events(DONE)


async def _as_it_was(book: Book, old: Database) -> None:
    """Write a casebook as an earlier release did, with the texts in the bodies of events."""
    async with book.database.connection() as source, old.connection() as target:
        files = await source.fetch("SELECT * FROM case_file")
        for file in files:
            events = await book.events(file["case_id"])
            bodies = [canonical(event) for event in events]
            hashes = chain(genesis(file["case_id"]).hash, bodies)
            for event, body, before, after in zip(events, bodies, hashes[:-1], hashes[1:], strict=True):
                at, recorded_at = (datetime.fromisoformat(event[name]) for name in ("at", "recorded_at"))
                await target.execute(
                    "INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    file["case_id"], event["seq"], event["type"], at, recorded_at, body, before, after,
                )  # fmt: skip
            row = {**file, "head_hash": hashes[-1]}
            del row["held_by"], row["numbered_later"]
            places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
            await target.execute(f"INSERT INTO case_file ({', '.join(row)}) VALUES ({places})", *row.values())
        for number in await source.fetch("SELECT * FROM case_number"):
            await target.execute("INSERT INTO case_number VALUES ($1, $2, $3, $4)", *number)


async def test_made_up_cases_are_like_real_ones(postgres: Cluster, template: str) -> None:
    """What bench/pages.py measures on."""
    dsn = await postgres.fresh_database(f"TEMPLATE {template}")
    now = datetime.now(UTC)
    filled = await fill(dsn, closed=150, opened=60, now=now)
    async with open_book(dsn) as book, open_book(dsn) as read:
        report = await book.verify()
        assert (report.ok, report.cases, report.events) == (True, filled.cases, filled.events)
        async with book.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM case_text") > 0
        count = await read.count(Filter(), **ALL)
        assert count["by_status"]["closed"] == 150
        assert set(count["by_kind"]) == {"complaint", "claim", "exception", "inquiry"}
        active = await read.page(Filter(status="active"), **ALL, limit=100)
        assert len(active.cases) == 60
        dues = [datetime.fromisoformat(view["next_due"]) for view in active.cases if view["next_due"]]
        assert len(dues) > 50
        assert min(dues) > now - timedelta(minutes=1)
        [view] = (await read.page(Filter(status="closed"), **ALL, order="opened", limit=1)).cases
        # What the view says is what the events say.
        events = [Event.from_json(event) for event in await book.events(view["id"])]
        case = KINDS[view["kind"]].replay(default_policy(), events)
        assert {**case.view(), "number": view["number"]} == view


async def test_without_a_database_it_says_so() -> None:
    async with open_book("postgresql://nobody@127.0.0.1:1/none") as away:
        with pytest.raises(DatabaseAway):
            await away.board(**ALL)
