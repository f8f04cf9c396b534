"""Numbers: what is open, what was missed, how fast, how much. Each chart has its table behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from activities.casebook.statistics import AGES
from starter.access import sees
from starter.console.times import span
from starter.console.web import Look

PERIODS = (7, 30, 90, 365)
# A bar's full length, in the drawing's units.
FULL = 360
# Colours in a chart; units beyond them share one, and the table tells them apart.
SERIES = 6
# So many clocks, and units, have bars; the table has all.
MOST = 12


@dataclass(frozen=True)
class Piece:
    """A part of a bar: where it begins and how long it is, its series, and what it stands for."""

    x: int
    width: int
    series: int
    said: str


@dataclass(frozen=True)
class Bar:
    """A row of a chart; ``cases`` is the address of the cases that it counts."""

    label: str
    cases: str
    pieces: tuple[Piece, ...]
    said: str


async def numbers(look: Look) -> Response:
    """Return the page, over the last so many days."""
    wanted = look.request.query_params.get("days", "")
    days = int(wanted) if wanted in {str(period) for period in PERIODS} else 30
    units, kinds = sees(look.who)
    # To the second, as the cases behind a number are asked for.
    now = look.times.now.replace(microsecond=0)
    since = now - timedelta(days=days)
    found = await look.services.statistics.tables(units=units, kinds=kinds, since=since, zone=look.policy.zone, at=now)
    rungs = look.policy.ladder.rungs
    return look.page(
        "numbers.html",
        page="numbers",
        days=days,
        full=FULL,
        periods=PERIODS,
        since=since,
        ages=_ages(look, now),
        cases=_cases,
        open_bars=_open(look, found["open"], rungs),
        open=_pivot(found["open"], "rung", "age", "cases"),
        breach_bars=_breaches(look, found["breaches"]),
        breach_units=sorted({_unit(look, row) for row in found["breaches"]}),
        series=SERIES,
        breaches=found["breaches"],
        fast=[_speed(look, row) for row in _ordered(found["acknowledged"], rungs)],
        fastest=max((row["p90"] or 0 for row in found["acknowledged"]), default=0),
        load={(row["weekday"], row["hour"]): row["cases"] for row in found["load"]},
        busiest=max((row["cases"] for row in found["load"]), default=0),
        paid=_money(found["money"]),
    )


def _cases(**asked: str) -> str:
    """Return where cases are listed."""
    return f"/console/find?{urlencode(asked)}"


def _ages(look: Look, now: datetime) -> dict[str, dict[str, str]]:
    """Return the ages by name, each with when cases of that age were opened."""
    found, least = dict[str, dict[str, str]](), 0
    for name, end in AGES:
        edges = {"opened_from": end, "opened_to": least or None}
        found[name] = {
            edge: f"{(now - timedelta(seconds=seconds)).astimezone(look.times.zone):%Y-%m-%dT%H:%M:%S}"
            for edge, seconds in edges.items()
            if seconds is not None
        }
        least = end or 0
    return found


def _ordered(rows: Iterable[Mapping[str, Any]], rungs: Sequence[str]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: rungs.index(row["rung"]) if row["rung"] in rungs else len(rungs))


def _pivot(rows: Iterable[Mapping[str, Any]], line: str, column: str, value: str) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        table.setdefault(row[line] or "", {})[row[column] or ""] = row[value]
    return table


def _bars(lines: Sequence[tuple[str, str, Sequence[tuple[str, int, int]]]]) -> list[Bar]:
    """Bars of (label, address of the cases, pieces as (what, how many, series)), the longest of them full."""
    longest = max((sum(count for _, count, _ in pieces) for _, _, pieces in lines), default=0) or 1
    bars = []
    for label, cases, pieces in lines:
        x, drawn, total = 0, [], 0
        for what, count, series in pieces:
            total += count
            end = round(total / longest * FULL)
            drawn.append(Piece(x, max(end - x, 1 if count else 0), series, f"{what}: {count}"))
            x = end
        bars.append(Bar(label, cases, tuple(drawn), str(total)))
    return bars


def _open(look: Look, rows: Sequence[Mapping[str, Any]], rungs: Sequence[str]) -> list[Bar]:
    table = _pivot(rows, "rung", "age", "cases")
    known = [*rungs, *(rung for rung in table if rung not in rungs)]
    return _bars(
        [
            (
                look.words.word("role", rung),
                _cases(status="open", rung=rung) if rung else "",
                [
                    (look.say(f"age.{age}"), table.get(rung, {}).get(age, 0), place)
                    for place, (age, _) in enumerate(AGES)
                ],
            )
            for rung in known
        ]
    )


def _breaches(look: Look, rows: Sequence[Mapping[str, Any]]) -> list[Bar]:
    table: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        table.setdefault(row["clock"], []).append((_unit(look, row), row["breaches"]))
    lines = sorted(table.items(), key=lambda line: -sum(count for _, count in line[1]))[:MOST]
    units = sorted({_unit(look, row) for row in rows})
    series = {unit: place % SERIES for place, unit in enumerate(units)}
    return _bars(
        [
            (
                look.words.word("clock", clock),
                _cases(breached=clock),
                [(unit, count, series[unit]) for unit, count in pieces],
            )
            for clock, pieces in lines
        ]
    )


def _unit(look: Look, row: Mapping[str, Any]) -> str:
    return look.formatter.unit(row["unit"]) if row["unit"] else look.say("numbers.no_unit")


def _speed(look: Look, row: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: span(float(row[name]), look.words) if row[name] is not None else "—" for name in ("p50", "p90")}
    return {**row, "said": said}


def _money(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    most = max((Decimal(row["amount"]) for row in rows), default=Decimal(0)) or Decimal(1)
    return [{**row, "width": round(Decimal(row["amount"]) / most * FULL)} for row in rows]
