"""Cases and events as tables: CSV and XLSX, without personal data and without a cell that is a formula.

Only ids, names of the vocabulary, instants and amounts are exported; what people wrote is not. An
instant is RFC 3339 text in both formats, since a cell of a workbook knows no offset.
"""

from __future__ import annotations

import csv
from asyncio import sleep, to_thread
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from io import BytesIO, StringIO, TextIOWrapper
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, BinaryIO, Literal, TextIO

import xlsxwriter

from cases.vocabulary.refusals import Refused

Cell = str | int | Decimal | None
Format = Literal["csv", "xlsx"]
FORMATS: tuple[Format, ...] = ("csv", "xlsx")

COLUMNS = (
    "case", "number", "kind", "status", "outcome", "unit", "rung", "holder", "acknowledged", "severity",
    "category", "factor", "source", "waybill", "policy", "opened_at", "resolved_at", "closed_at", "next_due",
    "breached", "waiting_approvals", "assessed_yuan", "offered_yuan", "agreed_yuan", "settled_yuan", "paid_reference",
    "parent", "claim", "events",
)  # fmt: skip
# The names of the XES standard, which process-mining tools know; then what only some of them use.
EVENT_COLUMNS = (
    "case:concept:name", "concept:name", "time:timestamp", "org:resource", "org:role", "detail", "clauses",
    "case:kind", "case:unit", "case:number",
)  # fmt: skip
# Data fields that tell what exactly happened, each a name of the vocabulary; an event has one of them.
_DETAILS = ("clock", "to", "stage", "notice", "rung", "outcome", "command", "path")

# A program that opens the file takes a text that begins like this for a formula (also typed in full width).
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# A worksheet ends there, its head included.
MOST_ROWS = 1_048_576
# Bytes, or characters, of a piece that is sent; and so many rows are written in one go.
PIECE, TURN = 1 << 16, 50


def case_row(view: Mapping[str, Any]) -> list[Cell]:
    """A case's cells, in the order of `COLUMNS`."""
    facts = view["facts"]
    assessment, claim = view.get("assessment"), view["kind"] == "claim"
    waiting = [approval["role"] for approval in view["approvals"] if approval["state"] == "open"]
    return [
        view["id"], view["number"], view["kind"], view["status"], view["outcome"], view["unit"], view["rung"],
        view["holder"], _yes(view["acknowledged"]), view["severity"],
        facts.get("category"), facts.get("factor"), facts.get("source"), (facts.get("shipment") or {}).get("waybill"),
        view["policy"], view["opened_at"], view["resolved_at"], view["closed_at"], view["next_due"],
        " ".join(view["breached"]), " ".join(waiting),
        None if assessment is None else Decimal(assessment["total"]),
        # Of a complaint this is the option before the customer, in words.
        _yuan(view["offered"]) if claim else None,
        _yuan(view["agreed"]) if claim else None,
        _yuan(view.get("settled")),
        view.get("paid"),
        view["parent"], view.get("claim"), view["events"],
    ]  # fmt: skip


def event_row(view: Mapping[str, Any], event: Mapping[str, Any]) -> list[Cell]:
    """An event's cells, in the order of `EVENT_COLUMNS`.

    Args:
        view: its case.
        event: public event JSON.
    """
    data = event["data"]
    detail = next((data[name] for name in _DETAILS if isinstance(data.get(name), str)), None)
    # The same form for all: some tools guess it from the first row.
    at = datetime.fromisoformat(event["at"]).isoformat(timespec="milliseconds")
    return [
        view["id"], event["type"], at, event["actor"]["id"], event["actor"]["role"], detail,
        " ".join(event["clauses"]), view["kind"], view["unit"], view["number"],
    ]  # fmt: skip


def csv_text(views: Iterable[Mapping[str, Any]]) -> str:
    """The cases as one CSV text."""
    file = StringIO()
    sheet = _Csv(file, COLUMNS)
    for view in views:
        sheet.add(case_row(view))
    return file.getvalue()


def xlsx_bytes(views: Iterable[Mapping[str, Any]]) -> bytes:
    """The cases as one workbook.

    Raises:
        Refused: code ``too_many``, more than a worksheet holds.
    """
    file = BytesIO()
    with closing(_Xlsx(file, COLUMNS)) as sheet:
        for view in views:
            sheet.add(case_row(view))
        sheet.finish()
    return file.getvalue()


async def stream(rows: AsyncIterable[Sequence[Cell]], columns: Sequence[str], format: Format) -> AsyncIterator[bytes]:
    """A file in pieces, for an answer over HTTP; CSV is sent while it is made.

    Raises:
        Refused: code ``too_many``, more than a worksheet holds.
    """
    if format == "csv":
        text = StringIO()
        sheet = _Csv(text, columns)
        async for row in rows:
            sheet.add(row)
            if text.tell() >= PIECE:
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()
        yield text.getvalue().encode()
        return
    with TemporaryFile() as file:
        await write(rows, columns, file, format)
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


async def write(rows: AsyncIterable[Sequence[Cell]], columns: Sequence[str], file: BinaryIO, format: Format) -> int:
    """Write rows into a binary file, a few in memory at a time; how many there were.

    Raises:
        Refused: code ``too_many``, more than a worksheet holds.
    """
    sheet: _Csv | _Xlsx
    text = TextIOWrapper(file, "utf-8", newline="") if format == "csv" else None
    sheet = _Xlsx(file, columns) if text is None else _Csv(text, columns)
    count = 0
    with closing(sheet):
        async for row in rows:
            sheet.add(row)
            count += 1
            if count % TURN == 0:
                # Others may have their turn: rows come in batches, and a worksheet takes its time.
                await sleep(0)
        # What a worksheet kept in a temporary file is packed now, which takes a while.
        await to_thread(sheet.finish)
    return count


async def case_rows(views: AsyncIterable[Mapping[str, Any]]) -> AsyncIterator[list[Cell]]:
    """Rows of `COLUMNS`."""
    async for view in views:
        yield case_row(view)


async def event_rows(
    events: AsyncIterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> AsyncIterator[list[Cell]]:
    """Rows of `EVENT_COLUMNS`."""
    async for view, event in events:
        yield event_row(view, event)


def harmless(text: str) -> str:
    """The text, with an apostrophe before it where a program would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Csv:
    """Rows as CSV."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._writer = csv.writer(file)
        self._writer.writerow(columns)

    def add(self, row: Sequence[Cell]) -> None:
        """Write a row."""
        self._writer.writerow(
            ["" if cell is None else harmless(cell) if isinstance(cell, str) else str(cell) for cell in row]
        )

    def finish(self) -> None:
        """Let everything reach the file."""
        self._file.flush()

    def close(self) -> None:
        """Leave the file to whoever opened it."""
        if isinstance(self._file, TextIOWrapper):
            self._file.detach()


class _Xlsx:
    """Rows as a workbook of one sheet; amounts are numbers, so that they add up."""

    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        # Rows go to a temporary file as they come; no text becomes a formula, a number or a link.
        self._folder = TemporaryDirectory(prefix="caseladder-export-")
        options = {
            "constant_memory": True,
            "tmpdir": self._folder.name,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
        }
        self._book = xlsxwriter.Workbook(file, options)
        self._yuan = self._book.add_format({"num_format": "0.00"})
        self._sheet = self._book.add_worksheet("caseladder")
        self._sheet.freeze_panes(1, 0)
        self._sheet.autofilter(0, 0, 0, len(columns) - 1)
        self._sheet.set_column(0, len(columns) - 1, 16)
        bold = self._book.add_format({"bold": True})
        for place, column in enumerate(columns):
            self._sheet.write_string(0, place, column, bold)
        self._rows = 1

    def add(self, row: Sequence[Cell]) -> None:
        """Write a row.

        Raises:
            Refused: code ``too_many``.
        """
        if self._rows == MOST_ROWS:
            raise Refused("too_many", f"a worksheet holds {MOST_ROWS - 1} rows: narrow the filter, or take csv")
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                self._sheet.write_string(self._rows, place, harmless(cell))
            elif cell is not None:
                self._sheet.write_number(self._rows, place, cell, self._yuan if isinstance(cell, Decimal) else None)
        self._rows += 1

    def finish(self) -> None:
        """Pack the workbook."""
        self._book.close()

    def close(self) -> None:
        """Leave nothing behind, also where it was not finished."""
        # The library closes its own file only in packing.
        self._sheet.row_data_fh.close()
        self._folder.cleanup()


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _yuan(amount: str | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)
