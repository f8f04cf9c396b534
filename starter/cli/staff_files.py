"""CSV files of the directory: units, staff, absences and the duty roster (docs/people.md).

A file is read to its end, and every fault is reported with its line and column. Names and
addresses are personal data, so no message repeats a cell that may hold one.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from cases.directory import CHANNELS, Absence, Channel, Person, Problem, Shift, Unit
from cases.vocabulary.addresses import FORMS
from cases.vocabulary.values import Model
from starter.cli.errors import BadInput
from starter.cli.intake import STDIN

Table = Literal["units", "staff", "absences", "roster"]
COLUMNS: Mapping[Table, tuple[str, ...]] = {
    "units": ("id", "name", "parent"),
    "staff": ("id", "name", "role", "unit", "deputies", "language", *CHANNELS, "prefer", "person"),
    # The case is that which asked for it. It is told and not read: where the directory still has it, it has its case.
    "absences": ("person", "from", "to", "case"),
    "roster": ("id", "person", "from", "to"),
}
REQUIRED: Mapping[Table, tuple[str, ...]] = {
    "units": ("id",),
    "staff": ("id", "role", "unit"),
    "absences": ("person", "from", "to"),
    "roster": ("id", "person", "from", "to"),
}
# A message repeats only a cell that looks like an id or a time, since columns may be mixed up.
_SHOWN = re.compile(r"[A-Za-z0-9._:/+ -]{1,40}")
# Spreadsheets take a cell that begins like this for a formula. Writing puts a quote in front, which makes it
# text, and reading removes it; a cell that begins with a quote gets another one, so that none is lost.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
# ISO 8601, or the form of spreadsheets: 2026/3/9 8:00.
_TIME = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})[T ](\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)?"
)
_FIELDS = {"starts_at": "from", "ends_at": "to"}
E = TypeVar("E", bound=Model)


class Fault(NamedTuple):
    """A fault in a file."""

    file: str
    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.column}: {self.message}"


@dataclass
class Sheet(Generic[E]):
    """A file that was read: its entries, the line of each, and its faults.

    A unit or a person with a fault is among the entries with its valid fields, so that others can refer to it.
    """

    table: Table
    file: str
    entries: list[E] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Stray(NamedTuple):
    """A fault of an entry that is in the casebook, not in a file."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


# --- reading ----------------------------------------------------------------------------------------


def read_units(file: Path) -> Sheet[Unit]:
    """Read a file of units.

    Raises:
        BadInput: the file cannot be read, or lacks a required column.
    """
    return _read(file, "units", Unit, lambda cells, fault: {name: cells[name] or None for name in COLUMNS["units"]})


def read_staff(file: Path) -> Sheet[Person]:
    """Read a file of people.

    Raises:
        BadInput: the file cannot be read, or lacks a required column.
    """
    return _read(file, "staff", Person, _person)


def read_absences(file: Path, zone: ZoneInfo) -> Sheet[Absence]:
    """Read a file of absences; a time without an offset is in ``zone``.

    Raises:
        BadInput: the file cannot be read, or lacks a required column.
    """
    return _read(file, "absences", Absence, lambda cells, fault: _span(cells, fault, zone))


def read_roster(file: Path, zone: ZoneInfo) -> Sheet[Shift]:
    """Read a file of shifts; a time without an offset is in ``zone``.

    Raises:
        BadInput: the file cannot be read, or lacks a required column.
    """
    return _read(file, "roster", Shift, lambda cells, fault: {"id": cells["id"], **_span(cells, fault, zone)})


def faults(sheets: Iterable[Sheet[Any]], problems: Iterable[Problem]) -> list[Fault | Stray]:
    """List the faults of files, each on its own and all together, sorted by file and line.

    Args:
        sheets: the files.
        problems: the problems of the directory that storing the files would make. In each table the entries of
            the file come first, so that a problem's row leads to a line.
    """
    read = {sheet.table: sheet for sheet in sheets}
    found = [fault for sheet in read.values() for fault in sheet.faults]
    reported = {(fault.file, fault.line, fault.column) for fault in found}
    strays = []
    for problem in problems:
        sheet = read.get(problem.table)
        if sheet is None or problem.row >= len(sheet.lines):
            strays.append(Stray(f"{problem.table} in the casebook", f"{problem.field}: {problem.message}"))
            continue
        fault = Fault(sheet.file, sheet.lines[problem.row], problem.field, problem.message)
        # A malformed cell is not reported a second time as an unknown reference.
        if fault[:3] not in reported:
            found.append(fault)
    order = [sheet.file for sheet in read.values()]
    return [*sorted(found, key=lambda one: (order.index(one.file), one.line)), *strays]


# Takes a column and what is wrong with its cell.
ReportFault = Callable[[str, str], None]


def _read(
    file: Path, table: Table, model: type[E], values_of: Callable[[dict[str, str], ReportFault], dict[str, Any]]
) -> Sheet[E]:
    name = "stdin" if str(file) == STDIN else str(file)
    sheet: Sheet[E] = Sheet(table, name)
    for line, cells in _rows(_text(file, name), table, sheet):
        wrong: dict[str, str] = {}

        def report(column: str, message: str, wrong: dict[str, str] = wrong) -> None:
            wrong.setdefault(column, message)

        values = values_of(cells, report)
        wrong.update((column, "is missing") for column in REQUIRED[table] if not cells[column] and column not in wrong)
        entry = _entry(model, values, wrong)
        sheet.faults.extend(Fault(name, line, column, message) for column, message in wrong.items())
        if entry is not None:
            sheet.entries.append(entry)
            sheet.lines.append(line)
    return sheet


def _entry(model: type[E], values: dict[str, Any], wrong: dict[str, str]) -> E | None:
    """Build the entry of a row, adding the faults of its values to ``wrong``."""
    try:
        entry = model.model_validate(values)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=False):
            column = _FIELDS.get(str(item["loc"][0]), str(item["loc"][0]))
            shown = f"{_shown(item['input'])}: " if isinstance(item["input"], str) else ""
            wrong.setdefault(column, shown + item["msg"].removeprefix("Value error, "))
    else:
        if not wrong:
            return entry
    # Only units and people are referred to, by their id, so only they are kept, and only with a valid id.
    if "id" in wrong or model not in (Unit, Person):
        return None
    good = {name: value for name, value in values.items() if name not in wrong}
    blank: dict[str, Any] = {name: () if name == "deputies" else None for name in wrong if name in model.model_fields}
    return cast(E, model.model_construct(**good, **blank))


def _person(cells: dict[str, str], fault: ReportFault) -> dict[str, Any]:
    contacts: dict[Channel, str] = {}
    for channel in CHANNELS:
        if cells[channel]:
            try:
                contacts[channel] = FORMS[channel](cells[channel])
            except ValueError as error:
                fault(channel, str(error))
    preferred = _words(cells["prefer"])
    for word in preferred:
        if word not in CHANNELS or not cells[word]:
            allowed = ", ".join(channel for channel in CHANNELS if cells[channel])
            fault("prefer", f"{_shown(word)} is no channel that has an address here; allowed: {allowed or 'none'}")
    order = [channel for word in preferred for channel in CHANNELS if channel == word]
    return {
        "id": cells["id"],
        "name": cells["name"] or None,
        "role": cells["role"],
        "unit": cells["unit"],
        "deputies": tuple(_words(cells["deputies"])),
        "language": cells["language"] or "zh",
        "contacts": {channel: contacts[channel] for channel in (*order, *CHANNELS) if channel in contacts},
        "person": cells["person"] or None,
    }


def _span(cells: dict[str, str], fault: ReportFault, zone: ZoneInfo) -> dict[str, Any]:
    values: dict[str, Any] = {"person": cells["person"]}
    for name, column in _FIELDS.items():
        if cells[column]:
            try:
                values[name] = read_time(cells[column], zone)
            except ValueError as error:
                fault(column, str(error))
    return values


def read_time(text: str, zone: ZoneInfo) -> datetime:
    """Parse an instant that has an offset or is local to ``zone``.

    Raises:
        ValueError: the text is not an instant, or the zone does not have this local time or has it twice.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{_shown(text)}: not a time; allowed: 2026-03-10T08:00 (in {zone.key}) or 2026-03-10T08:00:00+08:00"
        )
    year, _, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        local = datetime.fromisoformat(
            f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute}:{second or '00'}.{(fraction or '0'):0<6}{offset or ''}"
        )
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if local.tzinfo is not None:
        return local
    first, second_ = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second_.utcoffset():
        raise ValueError(f"{text!r}: when the clocks change in {zone.key}, a time needs an offset like +08:00")
    # Instants are compared and stored with a fixed offset.
    return datetime.fromisoformat(first.isoformat())


def _shown(cell: str) -> str:
    return repr(cell) if _SHOWN.fullmatch(cell) else "what stands there"


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s;]+", text) if word]


def _text(file: Path, name: str) -> str:
    try:
        return (sys.stdin.buffer.read() if name == "stdin" else file.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadInput(f"{name}:{line}: not UTF-8; save it as CSV UTF-8") from None


def _rows(text: str, table: Table, sheet: Sheet[Any]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells by column of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    while True:
        # A quoted cell may contain line breaks; the number of a row is that of its first line.
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise BadInput(f"{sheet.file}:{line}: not CSV: {error}") from None
        if row is None:
            break
        cells = [_unquoted(cell) for cell in row]
        if not any(cells):
            continue
        if columns is None:
            columns = _header(cells, table, f"{sheet.file}:{line}")
        elif len(cells) != len(columns):
            sheet.faults.append(Fault(sheet.file, line, "row", f"has {len(cells)} cells, the header {len(columns)}"))
        else:
            yield line, dict.fromkeys(COLUMNS[table], "") | dict(zip(columns, cells, strict=True))
    if columns is None:
        raise BadInput(f"{sheet.file}: is empty; its first line names the columns: {','.join(COLUMNS[table])}")


def _header(names: list[str], table: Table, where: str) -> list[str]:
    known = COLUMNS[table]
    # The cells are not repeated: if the header was forgotten, they are somebody's name and address.
    wrong = [f"column {number} is not a known one" for number, name in enumerate(names, 1) if name not in known]
    wrong += [f"{name!r} is there twice" for name in known if names.count(name) > 1]
    wrong += [f"{name!r} is missing" for name in REQUIRED[table] if name not in names]
    if wrong:
        raise BadInput(f"{where}: header of {table}: {', '.join(wrong)}; allowed: {','.join(known)}")
    return names


def _unquoted(cell: str) -> str:
    cell = cell.strip(" ")
    return (cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell).strip(" \t\r\n")


# --- writing ----------------------------------------------------------------------------------------


def units_csv(units: Iterable[Unit]) -> str:
    """Write units as CSV."""
    return _csv("units", ((one.id, one.name or "", one.parent or "") for one in units))


def staff_csv(people: Iterable[Person]) -> str:
    """Write people as CSV."""
    return _csv(
        "staff",
        (
            (
                one.id,
                one.name or "",
                one.role,
                one.unit,
                " ".join(one.deputies),
                one.language,
                *(one.contacts.get(channel, "") for channel in CHANNELS),
                _preference(list(one.contacts)),
                one.person or "",
            )
            for one in people
        ),
    )


def absences_csv(absences: Iterable[Absence], zone: ZoneInfo) -> str:
    """Write absences as CSV, times in ``zone``."""
    return _csv("absences", ((one.person, *_local(one, zone), one.case_id or "") for one in absences))


def roster_csv(shifts: Iterable[Shift], zone: ZoneInfo) -> str:
    """Write shifts as CSV, times in ``zone``."""
    return _csv("roster", ((one.id, one.person, *_local(one, zone)) for one in shifts))


def write(file: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner.

    Raises:
        BadInput: the file cannot be written.
    """
    new = file.with_name(f".{file.name}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            # Spreadsheets recognize UTF-8 by the byte order mark.
            out.write(text.encode("utf-8-sig"))
        new.replace(file)
    except OSError as error:
        raise BadInput(f"{file}: cannot be written: {error.strerror}") from None


def _preference(channels: Sequence[Channel]) -> str:
    """Return the cell of the column ``prefer``, empty where the order is that of the columns."""
    return "" if channels == [channel for channel in CHANNELS if channel in channels] else " ".join(channels)


def _local(entry: Absence | Shift, zone: ZoneInfo) -> tuple[str, str]:
    return entry.starts_at.astimezone(zone).isoformat(), entry.ends_at.astimezone(zone).isoformat()


def _csv(table: Table, rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS[table])
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    return out.getvalue()
