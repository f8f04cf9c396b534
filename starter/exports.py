"""Export of cases and events as CSV and XLSX tables, without personal data and without formulas.

Only ids, names of the vocabulary, instants and amounts are exported, never what people wrote. Here are the tables
that machines read: an instant is RFC 3339 text in both formats, since a date cell of a workbook has no offset.
Those for people, in their words, are made of them by `starter.console.tables`.
"""

from __future__ import annotations

import csv
import json
from asyncio import sleep, to_thread
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from io import StringIO, TextIOWrapper
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, BinaryIO, Literal, TextIO

import xlsxwriter

from cases.registry import KINDS, kind_named
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import is_reference

# A datetime is without a zone, in that which the head of its column says.
Cell = str | int | Decimal | datetime | None
Format = Literal["csv", "xlsx"]
FORMATS: tuple[Format, ...] = ("csv", "xlsx")

# The amounts of every kind, each once.
MONEY = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.MONEY))
COLUMNS = (
    "case", "number", "kind", "status", "outcome", "unit", "rung", "holder", "acknowledged", "severity",
    "category", "factor", "source", "waybill", "policy", "opened_at", "resolved_at", "closed_at", "next_due",
    "breached", "waiting_approvals", *(f"{name}_yuan" for name in MONEY), "paid_reference", "parent", "claim", "events",
    "title", "step", "turn", "fields",
)  # fmt: skip
# Names of the XES standard, which process-mining tools read; the last ones are read only by some tools.
EVENT_COLUMNS = (
    "case:concept:name", "concept:name", "time:timestamp", "org:resource", "org:role", "detail", "clauses",
    "case:kind", "case:unit", "case:number",
)  # fmt: skip
# Data fields whose value, a name of the vocabulary, is the event's detail; the first one that it has counts.
_DETAILS = ("clock", "to", "stage", "notice", "rung", "outcome", "command", "path")

# Spreadsheets take a text that begins like this (also in full width) for a formula.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# The most rows of a worksheet, including the header.
MOST_ROWS = 1_048_576
# Bytes or characters of a chunk, and rows that are written before other tasks may run.
CHUNK, ROWS_AT_ONCE = 1 << 16, 50


def case_row(view: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of a case in the order of `COLUMNS`."""
    facts = view["facts"]
    kind = kind_named(view["kind"])
    amounts = {} if kind is None else kind.money(view)
    waiting = [approval["role"] for approval in view["approvals"] if approval["state"] == "open"]
    return [
        view["id"], view["number"], view["kind"], view["status"], view["outcome"], view["unit"], view["rung"],
        view["holder"], _yes(view["acknowledged"]), view["severity"],
        facts.get("category"), facts.get("factor"), facts.get("source"), (facts.get("shipment") or {}).get("waybill"),
        view["policy"], view["opened_at"], view["resolved_at"], view["closed_at"], view["next_due"],
        " ".join(view["breached"]), " ".join(waiting),
        *(_yuan(amounts.get(name)) for name in MONEY),
        view.get("paid"),
        view["parent"], view.get("claim"), view["events"],
        view.get("title"), _step(view), " ".join(view.get("turn") or ()), _fields(view),
    ]  # fmt: skip


def _step(view: Mapping[str, Any]) -> Cell:
    step = view.get("step")
    return None if step is None else str(step)


def _fields(view: Mapping[str, Any]) -> Cell:
    """Return the fields of a form as JSON, without what people wrote freely."""
    fields = view.get("fields")
    if not isinstance(fields, Mapping):
        return None
    return json.dumps(_without_texts(fields), ensure_ascii=False)


def _without_texts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_texts(inner) for name, inner in value.items() if not is_reference(inner)}
    return [_without_texts(inner) for inner in value if not is_reference(inner)] if isinstance(value, list) else value


def event_row(view: Mapping[str, Any], event: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of an event in the order of `EVENT_COLUMNS`.

    Args:
        view: the view of its case.
        event: its public JSON form.
    """
    # Always with milliseconds, since some tools infer the format from the first row.
    at = datetime.fromisoformat(event["at"]).isoformat(timespec="milliseconds")
    return [
        view["id"], event["type"], at, event["actor"]["id"], event["actor"]["role"], detail(event)[1],
        " ".join(event["clauses"]), view["kind"], view["unit"], view["number"],
    ]  # fmt: skip


def detail(event: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return what exactly happened by an event, and the name of the field that says so; nothing where none does."""
    data = event["data"]
    return next(((name, data[name]) for name in _DETAILS if isinstance(data.get(name), str)), ("", None))


async def stream(
    rows: AsyncIterable[Sequence[Cell]], columns: Sequence[str], format: Format, *, marked: bool = False
) -> AsyncIterator[bytes]:
    """Yield a file in chunks for an HTTP response; CSV is sent while the rows are still being read.

    Args:
        rows: the cells of each.
        columns: what they are called.
        format: of the file.
        marked: see `write`.

    Raises:
        Refused: code ``too_many``, there are more rows than a worksheet can hold.
    """
    if format == "csv":
        text = StringIO()
        sheet = _Csv(text, columns, marked=marked)
        async for row in rows:
            sheet.add(row)
            if text.tell() >= CHUNK:
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()
        yield text.getvalue().encode()
        return
    with TemporaryFile() as file:
        await write(rows, columns, file, format, marked=marked)
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


async def write(
    rows: AsyncIterable[Sequence[Cell]],
    columns: Sequence[str],
    file: BinaryIO,
    format: Format,
    *,
    marked: bool = False,
) -> int:
    """Write rows into a binary file, keeping only a few of them in memory.

    Args:
        rows: the cells of each.
        columns: what they are called.
        file: open for writing.
        format: of the file.
        marked: whether CSV begins with a byte order mark, without which spreadsheets misread Chinese.

    Returns:
        The number of rows.

    Raises:
        Refused: code ``too_many``, there are more rows than a worksheet can hold.
    """
    sheet: _Csv | _Xlsx
    text = TextIOWrapper(file, "utf-8", newline="") if format == "csv" else None
    sheet = _Xlsx(file, columns) if text is None else _Csv(text, columns, marked=marked)
    count = 0
    with closing(sheet):
        async for row in rows:
            sheet.add(row)
            count += 1
            if count % ROWS_AT_ONCE == 0:
                # Let other tasks run: rows arrive in batches, and writing to a worksheet is slow.
                await sleep(0)
        # In a thread, because packing a workbook takes long.
        await to_thread(sheet.finish)
    return count


async def case_rows(views: AsyncIterable[Mapping[str, Any]]) -> AsyncIterator[list[Cell]]:
    """Yield the rows of cases, with the columns `COLUMNS`."""
    async for view in views:
        yield case_row(view)


async def event_rows(
    events: AsyncIterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> AsyncIterator[list[Cell]]:
    """Yield the rows of events, with the columns `EVENT_COLUMNS`."""
    async for view, event in events:
        yield event_row(view, event)


def escape_formula(text: str) -> str:
    """Return the text, with an apostrophe in front if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Csv:
    """A CSV file that is being written."""

    def __init__(self, file: TextIO, columns: Sequence[str], *, marked: bool) -> None:
        self._file = file
        if marked:
            file.write("\ufeff")
        self._writer = csv.writer(file)
        self._writer.writerow(columns)

    def add(self, row: Sequence[Cell]) -> None:
        """Write a row."""
        self._writer.writerow(
            ["" if cell is None else escape_formula(cell) if isinstance(cell, str) else str(cell) for cell in row]
        )

    def finish(self) -> None:
        """Flush the buffers."""
        self._file.flush()

    def close(self) -> None:
        """Detach from the file, which stays open for its owner."""
        if isinstance(self._file, TextIOWrapper):
            self._file.detach()


class _Xlsx:
    """A workbook of one sheet that is being written; amounts are numbers, and datetimes dates, to be reckoned with."""

    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        # Each row goes to a temporary file at once, and no text becomes a formula, a number or a link.
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
        self._instant = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._sheet = self._book.add_worksheet("caseladder")
        self._sheet.freeze_panes(1, 0)
        self._sheet.autofilter(0, 0, 0, len(columns) - 1)
        self._sheet.set_column(0, len(columns) - 1, 20)
        bold = self._book.add_format({"bold": True})
        for number, column in enumerate(columns):
            self._sheet.write_string(0, number, column, bold)
        self._rows = 1

    def add(self, row: Sequence[Cell]) -> None:
        """Write a row.

        Raises:
            Refused: code ``too_many``.
        """
        if self._rows == MOST_ROWS:
            raise Refused("too_many", f"a worksheet holds {MOST_ROWS - 1} rows: narrow the filter, or take csv")
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                self._sheet.write_string(self._rows, column, escape_formula(cell))
            elif isinstance(cell, datetime):
                self._sheet.write_datetime(self._rows, column, cell, self._instant)
            elif cell is not None:
                self._sheet.write_number(self._rows, column, cell, self._yuan if isinstance(cell, Decimal) else None)
        self._rows += 1

    def finish(self) -> None:
        """Write the workbook to its file."""
        self._book.close()

    def close(self) -> None:
        """Remove the temporary files, whether or not the workbook was finished."""
        # The library closes this file only when it writes the workbook.
        self._sheet.row_data_fh.close()
        self._folder.cleanup()


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _yuan(amount: str | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)
