"""Reports for people: the timeline of a scenario, the statistics of a log, and the comparison of two policies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cases.vocabulary.events import SYSTEM, Event
from starter.rehearsal.engine import UNRECORDED
from starter.rehearsal.expectations import Verdict, data_text
from starter.rehearsal.scenario import Scenario
from starter.rehearsal.statistics import Statistics

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SHADES = "·░▒▓█"
# Data of an event that is not shown: it is internal, or it is in the scenario file.
HIDDEN = frozenset({"facts", "policy_hash", "key"})


def print_scenario(console: Console, scenario: Scenario, events: Sequence[Event], verdicts: Sequence[Verdict]) -> None:
    """Print the timeline of one scenario and whether its expectations hold."""
    case = scenario.case
    console.print(Text(f"{case.key}  {case.kind}, policy {case.policy.name}  ({scenario.path})", "bold"))
    console.print(_timeline(events))
    for verdict in verdicts:
        console.print(Text("  OK      ", "green") if verdict.holds else Text("  FAILED  ", "bold red"), end="")
        console.print(Text(verdict.text))
        for line in explain_failure(verdict):
            console.print(Text(f"          {line}", "dim"))
    console.print()


def explain_failure(verdict: Verdict) -> Iterable[str]:
    """Yield lines that explain why an expectation does not hold; none if it holds."""
    if verdict.holds:
        return
    if not verdict.details:
        yield "no event of that type occurred"
    for event in verdict.details:
        data = data_text({name: value for name, value in event.data.items() if name not in HIDDEN})
        yield f"there is: {event.type} at {event.at.isoformat()}" + (f" with {data}" if data else "")


def _timeline(events: Sequence[Event]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for event in events:
        data = {name: value for name, value in event.data.items() if name not in HIDDEN}
        if event.actor != SYSTEM:
            data["by"] = f"{event.actor.id} ({event.actor.role})"
        bad = event.seq == UNRECORDED or event.type == "clock_breached"
        name = Text(event.type, "red" if bad else "cyan")
        table.add_row(event.at.isoformat(" "), name, Text(data_text(data)))
    return table


def print_statistics(console: Console, statistics: Statistics, name: str) -> None:
    """Print the statistics of a log under one policy."""
    s = statistics
    console.print(Text(f"{s.cases:,} cases under policy {name}: {s.events:,} events, {s.closed:,} closed", "bold"))
    console.print()
    table = _table("The highest rung that cases reached", "rung", "cases", "of all")
    for rung in s.rungs:
        share = 100 * s.highest[rung] / s.cases if s.cases else 0.0
        table.add_row(rung, f"{s.highest[rung]:,}", _percent(share))
    console.print(table)
    causes = sorted({cause for cause, _ in s.escalated})
    table = _table("Climbs by cause", "to", *causes, "all")
    for rung in s.rungs[1:]:
        by_cause = [f"{s.escalated[cause, rung]:,}" for cause in causes]
        table.add_row(rung, *by_cause, f"{s.climbs(rung):,}")
    console.print(table)
    table = _table("Clocks", "clock", "met", "breached", "breached of ended")
    for clock in s.clocks():
        table.add_row(clock, f"{s.met[clock]:,}", f"{s.breached[clock]:,}", _percent(s.breach_share(clock)))
    console.print(table)
    if s.refused:
        table = _table("Refused commands", "reason", "times")
        for code, count in sorted(s.refused.items()):
            table.add_row(code, f"{count:,}")
        console.print(table)
    _print_load(console, [(name, s)])


def print_comparison(console: Console, first: tuple[str, Statistics], second: tuple[str, Statistics]) -> None:
    """Print the statistics of a log under two policies side by side."""
    (name, a), (against, b) = first, second
    if name == against:
        name, against = f"{name} (1)", f"{against} (2)"
    console.print(Text(f"{a.cases:,} cases: policy {name} against {against}", "bold"))
    console.print()
    rungs = list(dict.fromkeys((*a.rungs, *b.rungs)))
    causes = sorted({cause for s in (a, b) for cause, _ in s.escalated})
    rows: list[tuple[str, int, int]] = [("events", a.events, b.events), ("closed", a.closed, b.closed)]
    rows += [(f"highest rung {rung}", a.highest[rung], b.highest[rung]) for rung in rungs]
    rows += [
        (f"climbs to {rung}, {cause}", a.escalated[cause, rung], b.escalated[cause, rung])
        for rung in rungs
        for cause in causes
    ]
    for clock in sorted({*a.clocks(), *b.clocks()}):
        rows.append((f"{clock} met", a.met[clock], b.met[clock]))
        rows.append((f"{clock} breached", a.breached[clock], b.breached[clock]))
    rows += [(f"refused, {code}", a.refused[code], b.refused[code]) for code in sorted({*a.refused, *b.refused})]
    table = _table("", "count of", name, against, "change")
    for what, before, after in rows:
        if before or after:
            table.add_row(what, f"{before:,}", f"{after:,}", _difference(before, after))
    console.print(table)
    table = _table("Breached of ended", "clock", name, against, "change")
    for clock in sorted({*a.clocks(), *b.clocks()}):
        x, y = a.breach_share(clock), b.breach_share(clock)
        table.add_row(clock, _percent(x), _percent(y), f"{y - x:+.1f} points")
    console.print(table)
    _print_load(console, [(name, a), (against, b)])


def _print_load(console: Console, statistics: Sequence[tuple[str, Statistics]]) -> None:
    """Print the arrivals at each rung by hour of the week, with the same scale for both policies."""
    console.print(Text("Cases that came to each rung, by hour of the week", "bold"))
    for rung in dict.fromkeys(rung for _, s in statistics for rung in s.rungs):
        loads = [(name, s.load[rung]) for name, s in statistics if rung in s.load]
        peak = max(max(load) for _, load in loads)
        for name, load in loads:
            title = rung if len(statistics) == 1 else f"{rung}, policy {name}"
            console.print(Text(f"{title}: {sum(load):,} cases; {SHADES[-1]} = up to {peak:,} in an hour"))
            if peak:
                console.print(Text(_heat(load, peak)))
        console.print()


def _heat(load: Sequence[int], peak: int) -> str:
    lines = ["      " + "".join(f"{hour:02d}      " for hour in range(0, 24, 4)).rstrip()]
    for number, day in enumerate(DAYS):
        hours = load[number * 24 : number * 24 + 24]
        lines.append(f"  {day} " + "".join(_shade(n, peak) * 2 for n in hours) + f" {sum(hours):>7,}")
    return "\n".join(lines)


def _shade(count: int, peak: int) -> str:
    # Rounded up, so that only an hour without any case is a dot.
    return SHADES[-(-count * (len(SHADES) - 1) // peak)]


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _difference(before: int, after: int) -> str:
    change = f"{after - before:+,}" if after != before else "="
    return f"{change} ({100 * (after - before) / before:+.1f} %)" if before and after != before else change
