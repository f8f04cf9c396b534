"""Real event logs: a CSV file, and a mapping of its rows to commands."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter.rehearsal.engine import Effects, Prepared, Step
from starter.rehearsal.files import BadInput, FileModel, plain, read_toml
from starter.rehearsal.scenario import check_command

ISO = "iso"


class Columns(FileModel):
    """The columns of the log to read; the values of several activity columns are joined with "/"."""

    case: str
    activity: list[str] = Field(min_length=1)
    at: str
    actor: str | None = None


class TimeFormat(FileModel):
    """The format of instants: a strptime format or "iso", and the zone of instants without an offset."""

    format: str
    zone: str | None = None

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        try:
            ZoneInfo(zone or "UTC")
        except (KeyError, ValueError, OSError):
            raise ValueError("not a time zone of the tz database, for example Asia/Shanghai") from None
        return zone


class CaseDefaults(FileModel):
    """The kind and the facts of every case of the log."""

    kind: str
    facts: dict[str, Any]

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        # A form is of a policy, and a mapping goes with any.
        if kind not in KINDS:
            raise ValueError(f"not a kind of case; allowed: {', '.join(KINDS)}")
        return kind


class LogCommand(FileModel):
    """One command that an activity stands for."""

    command: str
    fields: dict[str, Any] = Field(default={}, alias="with")


class Rule(FileModel):
    """An activity and the commands that it stands for."""

    activity: str
    commands: list[LogCommand] = Field(min_length=1)


class LogMapping(FileModel):
    """The mapping file; an activity without a rule stands for no command."""

    columns: Columns
    time: TimeFormat
    case: CaseDefaults
    rules: list[Rule] = Field(default=[], alias="rule")


def load_mapping(path: Path) -> LogMapping:
    """Read a mapping file.

    Raises:
        BadInput: it is invalid; the message names the file, the key path, the value and what is allowed.
    """
    mapping = read_toml(path, LogMapping)
    kind, seen = KINDS[mapping.case.kind], set[str]()
    try:
        read_intake(kind.INTAKE, {"key": "log", "facts": plain(mapping.case.facts)})
        for number, rule in enumerate(mapping.rules, 1):
            if rule.activity in seen:
                raise Refused("invalid", f"rule {number}.activity = {rule.activity!r} has a rule already")
            seen.add(rule.activity)
            for place, entry in enumerate(rule.commands, 1):
                where = f"rule {number}.commands {place}"
                check_command(kind, entry.command, plain(entry.fields), where)
    except Refused as refusal:
        raise BadInput(f"{path}: {refusal.message}") from None
    return mapping


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the log: when, who, what."""

    at: datetime
    actor: str
    activity: str


@dataclass(frozen=True, slots=True)
class EventLog:
    """A log with its rows grouped by case, cases in order of appearance, rows in order of time.

    ``end`` is the last instant of the whole log, until which time passes in every case.
    """

    mapping: LogMapping
    rows: dict[str, list[Row]]
    end: datetime

    def prepared(self, policy: Policy, limit: int | None = None) -> Iterator[Prepared]:
        """Yield the first ``limit`` cases, or all, prepared to run under a policy."""
        kind, facts = self.mapping.case.kind, plain(self.mapping.case.facts)
        commands = {
            rule.activity: [(entry.command, plain(entry.fields)) for entry in rule.commands]
            for rule in self.mapping.rules
        }
        effects = Effects()
        for key, rows in islice(self.rows.items(), limit):
            received = rows[0].at
            intake = {"key": key, "received_at": received.isoformat(), "policy": policy.name, "facts": facts}
            steps = tuple(
                Step(row.at, command, row.actor, None, fields)
                for row in rows
                for command, fields in commands.get(row.activity, ())
            )
            yield Prepared(kind, intake, received, policy, steps, self.end, effects)


def load_log(path: Path, mapping: LogMapping) -> EventLog:
    """Read a log.

    Raises:
        BadInput: it is invalid; the message names the file, the row (the header is row 1), the column, the
            value and what is allowed.
    """
    grouped: dict[str, list[Row]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for case, row in _rows(path, csv.reader(file, strict=True), mapping):
                grouped.setdefault(case, []).append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    if not grouped:
        raise BadInput(f"{path}: has no rows")
    keyed: dict[str, list[Row]] = {}
    for case, rows in grouped.items():
        # The sort is stable, so rows of the same instant keep their order.
        rows.sort(key=lambda row: row.at)
        key = token(case, "case")
        if key in keyed:
            key = f"{key[:110]}-{_digest(case)}"
        keyed[key] = rows
    end = max(rows[-1].at for rows in keyed.values())
    return EventLog(mapping, keyed, end)


def _rows(path: Path, lines: Iterator[list[str]], mapping: LogMapping) -> Iterator[tuple[str, Row]]:
    header = next(lines, [])
    columns = mapping.columns
    case, at = _index(path, header, "case", columns.case), _index(path, header, "at", columns.at)
    activities = [_index(path, header, "activity", name) for name in columns.activity]
    actor = None if columns.actor is None else _index(path, header, "actor", columns.actor)
    zone = None if mapping.time.zone is None else ZoneInfo(mapping.time.zone)
    actors: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        if len(line) != len(header):
            raise BadInput(f"{path}: row {number}: {len(line)} fields; the header has {len(header)}")
        if not line[case].strip():
            raise BadInput(f"{path}: row {number}: column {columns.case!r} is empty; it names the case")
        instant = _read_instant(line[at], mapping.time.format, zone)
        if instant is None:
            raise BadInput(f"{path}: row {number}: column {columns.at!r} = {line[at]!r}: {_time_wanted(mapping.time)}")
        name = "" if actor is None else line[actor]
        known = actors.get(name)
        if known is None:
            known = actors[name] = token(name, "log")
        yield line[case].strip(), Row(instant, known, "/".join([line[index] for index in activities]))


def _index(path: Path, header: list[str], field: str, name: str) -> int:
    indices = [index for index, title in enumerate(header) if title == name]
    if len(indices) == 1:
        return indices[0]
    problem = "stands there several times" if indices else "is not there"
    raise BadInput(f"{path}: row 1: column {name!r} (columns.{field}) {problem}; the columns are: {', '.join(header)}")


def _read_instant(text: str, form: str, zone: ZoneInfo | None) -> datetime | None:
    try:
        # The format decides whether there is an offset; without one the zone is added below.
        instant = datetime.fromisoformat(text) if form == ISO else datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        return None
    if instant.tzinfo is None:
        if zone is None:
            return None
        instant = instant.replace(tzinfo=zone)
    # In UTC, since Python compares two instants in the same zone by their local times, which repeat in autumn.
    return instant.astimezone(UTC)


def _time_wanted(time: TimeFormat) -> str:
    wanted = "an RFC 3339 instant" if time.format == ISO else f"an instant written as {time.format}"
    return f"must be {wanted}" + ("" if time.zone else " with an offset (the mapping names no time.zone)")


def token(text: str, default: str) -> str:
    """Make a token for a key or an actor id from a free text; ``default`` if the text is empty."""
    text = text.strip()
    if not text:
        return default
    made = re.sub(r"[^A-Za-z0-9._:/-]+", "-", text).strip("-._:/")[:128]
    # If no character is left, as of a Chinese name, a digest keeps the texts distinct.
    return made or f"{default}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
