"""Exports: no formula, no personal data, readable by whom they are for, and never all in memory."""

from __future__ import annotations

import asyncio
import csv
import tracemalloc
from collections.abc import AsyncIterator
from datetime import datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from cases.case import Case
from cases.registry import KINDS
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter import exports
from starter.console.tables import Tables
from starter.console.translations import translations
from starter.exports import COLUMNS, EVENT_COLUMNS, Cell, Format
from tests.core.support import AGENT, CUSTOMER, QA, SUPERVISOR, at, default_policy, do

DAY = "03-10"
# What people write stands under this, whatever the field; so do personal facts.
SECRET = "13800000000"
PERSON = {"name": SECRET, "phone": SECRET, "email": f"{SECRET}@example.org", "ref": SECRET}
FINANCE = {"id": "fin-1", "role": "finance"}


def opened(kind: str, facts: dict[str, Any]) -> Case:
    """A case received at nine, with personal facts and texts."""
    facts = {"customer": PERSON, "description": SECRET, "unit": "HZ-01", **facts}
    raw = {"key": "C-1", "received_at": at(f"{DAY} 09:00:00").isoformat(), "facts": facts}
    return KINDS[kind].open(read_intake(KINDS[kind].INTAKE, raw), default_policy(), at(f"{DAY} 09:00:00"))


def complaint() -> Case:
    """A complaint in which people wrote wherever they can."""
    case = opened("complaint", {"category": "delay", "source": "platform"})
    do(case, f"{DAY} 09:01:00", "note", AGENT, text=SECRET)
    do(case, f"{DAY} 09:02:00", "attach", AGENT, name=SECRET, sha256="0" * 64, where=SECRET)
    do(case, f"{DAY} 09:03:00", "reply", AGENT, stage="interim", text=SECRET)
    do(case, f"{DAY} 09:03:30", "investigate", AGENT, finding=SECRET)
    do(case, f"{DAY} 09:04:00", "propose", AGENT, options=[SECRET, f"{SECRET}!"])
    do(case, f"{DAY} 09:04:10", "log_contact", AGENT, reached=False, channel="phone", reason=SECRET)
    do(case, f"{DAY} 09:04:20", "request_approval", AGENT, subject=SECRET, amount="500.00", reason=SECRET)
    do(case, f"{DAY} 09:04:30", "escalate", AGENT, reason=SECRET)
    do(case, f"{DAY} 09:05:00", "withdraw", CUSTOMER, reason=SECRET)
    return case


def claim() -> Case:
    """A claim from filing to paid."""
    shipment = {
        "waybill": "SF-9", "posted_on": "2026-03-01", "base_freight": "20.00", "weight_kg": "1", "route": "domestic",
        "insured_amount": "500.00",
    }  # fmt: skip
    loss = {"total_value": "500.00", "lost_value": "500.00"}
    case = opened("claim", {"factor": "damage", "claimant": {"relation": "sender"}, "shipment": shipment, "loss": loss})
    do(case, f"{DAY} 09:01:00", "answer_claim", AGENT, text=SECRET)
    do(case, f"{DAY} 09:02:00", "assess", AGENT, cause="company")
    do(case, f"{DAY} 09:03:00", "offer", AGENT, reason=SECRET)
    do(case, f"{DAY} 09:04:00", "approve", SUPERVISOR, reason=SECRET)
    do(case, f"{DAY} 09:04:30", "accept_offer", CUSTOMER)
    case.payout_waits(at(f"{DAY} 09:04:31"))
    do(case, f"{DAY} 09:04:40", "confirm_payment", FINANCE, reference="BANK-1")
    return case


def report() -> Case:
    """An exception report with its cause and its correction."""
    case = opened("exception", {"source": "self_found", "known_at": at(f"{DAY} 09:00:00").isoformat()})
    do(case, f"{DAY} 09:01:00", "find", QA, cause=SECRET, responsibility=SECRET, report="genuine")
    do(case, f"{DAY} 09:02:00", "correct", AGENT, action=SECRET, carried_out=True)
    do(case, f"{DAY} 09:03:00", "inform_customer", AGENT, text=SECRET)
    return case


def question() -> Case:
    """An inquiry that was answered."""
    case = opened("inquiry", {"question": SECRET, "shipment": {"waybill": "SF-8", "posted_on": "2026-03-01"}})
    do(case, f"{DAY} 09:01:00", "reply", AGENT, stage="answer", text=SECRET)
    return case


MADE = [complaint, claim, report, question]


async def some(rows: list[Any]) -> AsyncIterator[Any]:
    """The rows as they come from a search."""
    for row in rows:
        yield row


async def table(rows: list[list[Cell]], columns: tuple[str, ...], format: Format) -> list[list[Any]]:
    """What a reader of the file sees, its head first."""
    file = BytesIO()
    assert await exports.write(some(rows), columns, file, format) == len(rows)
    return read(file.getvalue(), format)


def read(content: bytes, format: Format) -> list[list[Any]]:
    """The rows of a file; a workbook's cells as they are stored, a formula as its text."""
    if format == "csv":
        return list(csv.reader(StringIO(content.decode(), newline=""), strict=True))
    sheet = openpyxl.load_workbook(BytesIO(content)).active
    for row in sheet.iter_rows():
        for cell in row:
            assert cell.data_type != "f", cell.value
            assert cell.hyperlink is None, cell.value
    return [list(row) for row in sheet.iter_rows(values_only=True)]


# --- formulas -----------------------------------------------------------------------------------------

TRICKS = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", '=HYPERLINK("http://example.org","x")',
    "＝1+1", "＋1", "－1", "＠A1",
)  # fmt: skip


@pytest.mark.parametrize("format", exports.FORMATS)
@pytest.mark.parametrize("trick", TRICKS)
async def test_no_cell_is_a_formula(trick: str, format: Format) -> None:
    """Whatever the field: ids are tokens today, but a file must not depend on that."""
    view = spoiled(claim().view(), trick)
    event = spoiled(complaint().events[0].as_json(), trick) | {"at": "2026-03-10T09:00:00+08:00", "seq": 1}
    # The amounts of a view are amounts.
    amounts = {"assessment": {"total": "1.00"}, "offered": "1.00", "agreed": "1.00", "kind": "claim"}
    for rows, columns in (
        ([exports.case_row({**view, **amounts})], COLUMNS),
        ([exports.event_row(view, event)], EVENT_COLUMNS),
    ):
        [head, row] = await table(rows, columns, format)
        assert head == list(columns)
        dangerous = [cell for cell in row if isinstance(cell, str) and cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))]
        assert dangerous == []
        # Made harmless, not left out.
        shown = [str(cell).replace("_x000D_", "\r") for cell in row]
        assert sum(cell == f"'{trick}" for cell in shown) >= 5


def spoiled(value: Any, trick: str) -> Any:
    """A value with every text in it replaced."""
    if isinstance(value, dict):
        return {name: spoiled(inner, trick) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoiled(inner, trick) for inner in value]
    return trick if isinstance(value, str) or value is None else value


def test_what_cannot_be_a_formula_stays_as_it_is() -> None:
    assert [exports.escape_formula(text) for text in ("", "SF-9", "a=1", "2026-03-0001", "'=x")] == [
        "", "SF-9", "a=1", "2026-03-0001", "'=x"
    ]  # fmt: skip


# --- personal data ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", exports.FORMATS)
@pytest.mark.parametrize("make", MADE)
async def test_no_personal_data_and_nothing_that_people_wrote(make: Any, format: Format) -> None:
    case = make()
    events = [exports.event_row(case.view(), event.as_json()) for event in case.events]
    for rows, columns in (([exports.case_row(case.view())], COLUMNS), (events, EVENT_COLUMNS)):
        shown = await table(rows, columns, format)
        assert len(shown) == len(rows) + 1
        assert [cell for row in shown for cell in row if SECRET in str(cell)] == []
    # The secret is there to be found: the record has it wherever people wrote.
    assert SECRET in str([event.as_json() for event in case.events])


# --- what stands in them --------------------------------------------------------------------------------


@pytest.mark.parametrize("format", exports.FORMATS)
async def test_a_case_is_a_row(format: Format) -> None:
    view = {**claim().view(), "number": "2026-03-0001"}
    [head, row] = await table([exports.case_row(view)], COLUMNS, format)
    shown = dict(zip(head, row, strict=True))
    money: Any = (lambda text: text) if format == "csv" else float
    expected = {
        "case": "claim:C-1", "number": "2026-03-0001", "kind": "claim", "status": "resolved", "unit": "HZ-01",
        "rung": "agent", "holder": "agent", "acknowledged": "no", "severity": "normal", "factor": "damage",
        "waybill": "SF-9", "policy": "default", "opened_at": "2026-03-10T09:00:00+08:00",
        "assessed_yuan": money("520.00"), "offered_yuan": money("520.00"), "agreed_yuan": money("520.00"),
        "paid_reference": "BANK-1",
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    assert shown["closed_at"] in ("", None)
    assert int(shown["events"]) == len(claim().events)


async def test_what_waits_and_what_was_breached_is_named() -> None:
    case = opened("complaint", {"category": "delay"})
    do(case, f"{DAY} 09:06:00", "request_approval", SUPERVISOR, subject="gift", amount="5000.00")
    [head, row] = await table([exports.case_row(case.view())], COLUMNS, "csv")
    shown = dict(zip(head, row, strict=True))
    assert (shown["breached"], shown["waiting_approvals"]) == ("rung report", "qa_manager")
    # What a complaint offers is said in words, so it is no amount.
    assert shown["offered_yuan"] == shown["agreed_yuan"] == ""


@pytest.mark.parametrize("make", MADE)
async def test_an_event_log_keeps_to_what_process_mining_tools_expect(make: Any) -> None:
    """Names of XES; each case's rows together and in order; one form of instants, with an offset."""
    case = make()
    rows = [exports.event_row(case.view(), event.as_json()) for event in case.events]
    [head, *shown] = await table(rows, EVENT_COLUMNS, "csv")
    assert head[:4] == ["case:concept:name", "concept:name", "time:timestamp", "org:resource"]
    log = [dict(zip(head, row, strict=True)) for row in shown]
    assert [line["concept:name"] for line in log] == [event.type for event in case.events]
    instants = [datetime.fromisoformat(line["time:timestamp"]) for line in log]
    assert instants == sorted(instants) == [event.at for event in case.events]
    assert {len(line["time:timestamp"]) for line in log} == {len("2026-03-10T09:00:00.000+08:00")}
    assert {line["case:concept:name"] for line in log} == {f"{case.KIND}:C-1"}
    assert all(line["org:resource"] and line["org:role"] for line in log)


async def test_an_event_says_what_exactly_happened() -> None:
    case = complaint()
    details = {(event.type, exports.event_row(case.view(), event.as_json())[5]) for event in case.events}
    assert {
        ("clock_started", "answer"), ("replied", "interim"), ("escalated", "supervisor"), ("closed", "withdrawn"),
    } <= details  # fmt: skip


# --- size -----------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("format", exports.FORMATS)
async def test_rows_do_not_gather_in_memory(format: Format) -> None:
    row = exports.case_row(claim().view())

    async def many(count: int) -> AsyncIterator[list[Cell]]:
        for _ in range(count):
            yield row

    class Nowhere(BytesIO):
        """A file whose content is not kept."""

        def write(self, data: Any) -> int:
            return len(data)

    peaks = []
    await exports.write(many(1), COLUMNS, Nowhere(), format)
    for count in (500, 2000):
        tracemalloc.start()
        await exports.write(many(count), COLUMNS, Nowhere(), format)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Kept, 1500 rows more would be megabytes.
    assert peaks[1] - peaks[0] < 300_000, peaks


@pytest.mark.parametrize("format", exports.FORMATS)
async def test_a_stream_comes_in_pieces(monkeypatch: pytest.MonkeyPatch, format: Format) -> None:
    monkeypatch.setattr(exports, "CHUNK", 1000)
    rows = [exports.case_row({**question().view(), "number": f"2026-03-{n:04}"}) for n in range(40)]
    seen: list[list[Cell]] = []

    async def read_slowly() -> AsyncIterator[list[Cell]]:
        for row in rows:
            seen.append(row)
            yield row

    pieces = exports.stream(read_slowly(), COLUMNS, format)
    first = await anext(pieces)
    # CSV goes out while it is made; a workbook is packed when all of it is there.
    assert (len(seen) < len(rows)) == (format == "csv")
    content = first + b"".join([piece async for piece in pieces])
    assert read(content, format) == await table(rows, COLUMNS, format)
    assert (
        b"".join([piece async for piece in exports.stream(some([]), COLUMNS, "csv")])
        == b",".join(name.encode() for name in COLUMNS) + b"\r\n"
    )


async def test_a_long_export_lets_others_have_their_turn() -> None:
    """Rows that are all there at once still do not keep the loop to themselves."""
    row = exports.case_row(question().view())
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await exports.write(some([row] * 500), COLUMNS, BytesIO(), "csv")
    beside.cancel()
    assert turns >= 10


async def test_a_worksheet_has_an_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exports, "MOST_ROWS", 3)
    row = exports.case_row(question().view())
    assert len(await table([row] * 2, COLUMNS, "xlsx")) == 3
    # Nothing is left of a workbook that was not finished.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(Refused, match="a worksheet holds 2 rows: narrow the filter, or take csv") as caught:
        await table([row] * 3, COLUMNS, "xlsx")
    assert caught.value.code == "too_many"
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - an empty folder of the test's own
    assert len(await table([row] * 3, COLUMNS, "csv")) == 4


# --- what people read -----------------------------------------------------------------------------------

ZONE = ZoneInfo("Asia/Shanghai")


async def readable(view: Any, language: str, format: Format) -> tuple[bytes, list[str], list[Any]]:
    """A file of one case as people get it, and what a reader of the file sees of it."""
    tables = Tables(translations()[language], ZONE)
    content = b"".join(
        [
            piece
            async for piece in exports.stream(
                tables.case_rows(some([view])), tables.heads(COLUMNS), format, marked=True
            )
        ]
    )
    head, row = read(content, format)
    return content, head, row


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("zh", {
            "案件类型": "理赔", "状态": "已办结", "层级": "客服", "严重程度": "一般", "索赔原因": "损毁",
            "已受理": "否", "建单（Asia/Shanghai）": "2026-03-10 09:00:00",
            "核定赔偿金额（元）": "520.00", "付款凭证号": "BANK-1",
        }),
        ("en", {
            "Kind": "claim", "Status": "resolved", "Rung": "agent", "Severity": "normal", "Claimed for": "damage",
            "Taken up": "no", "Opened (Asia/Shanghai)": "2026-03-10 09:00:00", "Assessed, yuan": "520.00",
            "Payment reference": "BANK-1",
        }),
    ],
)  # fmt: skip
async def test_people_get_a_case_in_words(language: str, expected: dict[str, str]) -> None:
    content, head, row = await readable(claim().view(), language, "csv")
    assert content.startswith("\ufeff".encode())
    head[0] = head[0].removeprefix("\ufeff")
    shown = dict(zip(head, row, strict=True))
    assert {name: shown[name] for name in expected} == expected


async def test_a_workbook_has_dates_and_amounts_to_reckon_with() -> None:
    content, head, _ = await readable(claim().view() | {"opened_at": "2026-03-10T01:00:00.5+00:00"}, "zh", "xlsx")
    sheet = openpyxl.load_workbook(BytesIO(content)).active
    cells = dict(zip(head, sheet[2], strict=True))
    opened_at = cells["建单（Asia/Shanghai）"]
    assert opened_at.is_date
    assert (opened_at.value, opened_at.number_format) == (
        datetime.fromisoformat("2026-03-10T09:00:00"), "yyyy-mm-dd hh:mm:ss",
    )  # fmt: skip
    assert (cells["核定赔偿金额（元）"].value, cells["核定赔偿金额（元）"].data_type) == (520, "n")


async def test_people_get_events_in_words() -> None:
    case = complaint()
    tables = Tables(translations()["zh"], ZONE)
    rows = [row async for row in tables.event_rows(some([(case.view(), event.as_json()) for event in case.events]))]
    heads = ["案件", "事件", "时间（Asia/Shanghai）", "经办人", "角色", "详情", "条款", "案件类型", "单位", "编号"]
    assert tables.heads(EVENT_COLUMNS) == heads
    said = {(row[1], row[5]) for row in rows}
    assert {
        ("开始计时", "答复"), ("已回复", "初步回复"), ("升级", "客服主管"), ("结案", "已撤诉"), ("建单", None),
    } <= said  # fmt: skip
    assert {row[2] for row in rows} >= {datetime.fromisoformat("2026-03-10T09:01:00")}
    assert all(isinstance(row[2], datetime) for row in rows)


@pytest.mark.parametrize("format", exports.FORMATS)
async def test_what_people_get_holds_no_formula_and_no_text(format: Format) -> None:
    view = spoiled({name: value for name, value in question().view().items() if name != "approvals"}, "=1+1")
    instants = dict.fromkeys(("opened_at", "resolved_at", "closed_at", "next_due"), "2026-03-10T09:00:00+08:00")
    _, _, row = await readable({**view, **instants, "kind": "inquiry", "approvals": []}, "zh", format)
    assert [cell for cell in row if str(cell).startswith("=")] == []
    assert sum(cell == "'=1+1" for cell in row) >= 5
    for make in MADE:
        _, _, row = await readable(make().view(), "zh", format)
        assert [cell for cell in row if SECRET in str(cell)] == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_column_has_a_name_of_its_own(language: str) -> None:
    tables = Tables(translations()[language], ZONE)
    for columns in (COLUMNS, EVENT_COLUMNS):
        assert len(set(tables.heads(columns))) == len(columns)
