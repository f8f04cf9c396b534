"""The command ``rehearse``: scenario files and event logs, on either engine."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from activities.policies.store import Policies
from cases.policy.model import Policy
from cases.vocabulary.events import Event
from starter.rehearsal.core_engine import CoreEngine
from starter.rehearsal.engine import Engine, Prepared, entry_json
from starter.rehearsal.event_log import EventLog, load_log, load_mapping
from starter.rehearsal.expectations import judge
from starter.rehearsal.files import BadInput, find_policy
from starter.rehearsal.report import explain_failure, print_comparison, print_scenario, print_statistics
from starter.rehearsal.scenario import Scenario, load_scenario
from starter.rehearsal.statistics import Statistics


def _temporal() -> Engine:
    # Imported only when it is chosen, since the import takes half a second.
    from starter.rehearsal.temporal_engine import TemporalEngine

    return TemporalEngine()


ENGINES: Mapping[str, Callable[[], Engine]] = {"core": CoreEngine, "temporal": _temporal}
HELD, FAILED, BAD_INPUT = 0, 1, 2


def rehearse(
    files: Sequence[Path],
    engine: str = "core",
    as_json: bool = False,
    policy: str | None = None,
    against: str | None = None,
    log: Path | None = None,
    mapping: Path | None = None,
    limit: int | None = None,
    policies: Policies | None = None,
) -> int:
    """Rehearse scenario files, or the cases of an event log.

    All input is read and checked before any case runs. Error messages go to stderr.

    Args:
        files: the scenario files; empty if ``log`` is given.
        engine: a name in `ENGINES`.
        as_json: print events (scenarios) or one summary object (log) as JSON on stdout.
        policy: a policy's name or path, instead of the scenarios' own; for a log, "default" if None.
        against: a second policy to run the log under, for comparison.
        log: an event log (CSV); needs ``mapping``.
        mapping: the file that says how the rows of the log read as commands.
        limit: run only the first ``limit`` cases of the log.
        policies: the policies that are known by name; by default the built-in ones.

    Returns:
        0 if every expectation holds, 1 if one fails, 2 for bad input.
    """
    known = policies or Policies()
    try:
        start = _engine(engine)
        if log is None:
            _refuse_options(against=against, mapping=mapping, limit=limit)
            if not files:
                raise BadInput("nothing to rehearse: give scenario files, or --log and --mapping")
            scenarios = [load_scenario(file, known, policy) for file in files]
            _refuse_same_keys(scenarios)
            return asyncio.run(_run_scenarios(start, scenarios, as_json))
        if files:
            raise BadInput(f"{files[0]}: scenario files and --log do not go together")
        if mapping is None:
            raise BadInput("--log needs --mapping, the file that says how its rows read as commands")
        if limit is not None and limit < 1:
            raise BadInput(f"--limit = {limit}: must be 1 or more")
        names = [policy or "default"] + ([against] if against is not None else [])
        chosen = [find_policy(name, Path(), known) for name in names]
        cases = load_log(log, load_mapping(mapping))
        statistics = asyncio.run(_run_log(start, cases, chosen, limit))
    except BadInput as error:
        print(f"caseladder rehearse: {error}", file=sys.stderr)
        return BAD_INPUT
    _print_statistics([policy.name for policy in chosen], statistics, as_json)
    return HELD


def _engine(name: str) -> Callable[[], Engine]:
    if name not in ENGINES:
        raise BadInput(f"--engine = {name!r}: not an engine; allowed: {', '.join(ENGINES)}")
    return ENGINES[name]


def _refuse_options(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise BadInput(f"--{name} = {value}: allowed only together with --log")


def _refuse_same_keys(scenarios: Sequence[Scenario]) -> None:
    seen: dict[str, Path] = {}
    for scenario in scenarios:
        first = seen.setdefault(scenario.case.key, scenario.path)
        if first is not scenario.path:
            raise BadInput(f"{scenario.path}: key = {scenario.case.key!r} is that of {first} too; keys must differ")


async def _run_all(engine: Engine, cases: Iterator[Prepared]) -> AsyncIterator[list[Event]]:
    """Run cases, as many at the same time as the engine supports, and yield the events of each in their order."""
    running: deque[asyncio.Task[list[Event]]] = deque()
    try:
        while True:
            for case in islice(cases, engine.parallel - len(running)):
                running.append(asyncio.create_task(engine.run_case(case)))
            if not running:
                return
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        # Wait until each case has stopped what it started, before the engine stops.
        await asyncio.gather(*running, return_exceptions=True)


async def _run_scenarios(start: Callable[[], Engine], scenarios: Sequence[Scenario], as_json: bool) -> int:
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    failed, remaining = 0, iter(scenarios)
    async with start() as engine:
        async for events in _run_all(engine, (scenario.case for scenario in scenarios)):
            scenario = next(remaining)
            verdicts = judge(scenario, events)
            failures = [verdict for verdict in verdicts if not verdict.holds]
            failed += bool(failures)
            if not as_json:
                print_scenario(console, scenario, events, verdicts)
                continue
            for event in events:
                print(json.dumps({**entry_json(event), "key": scenario.case.key}, ensure_ascii=False))
            for verdict in failures:
                lines = [f"{scenario.path}: FAILED {verdict.text}", *explain_failure(verdict)]
                errors.print("\n  ".join(lines), markup=False)
    if not as_json:
        console.print(f"{len(scenarios)} rehearsed, {len(scenarios) - failed} OK, {failed} FAILED")
    return FAILED if failed else HELD


async def _run_log(
    start: Callable[[], Engine], log: EventLog, policies: Sequence[Policy], limit: int | None
) -> list[Statistics]:
    count = len(log.rows) if limit is None else min(limit, len(log.rows))
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("rehearsing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    statistics = []
    async with start() as engine:
        with bar:
            task = bar.add_task("", total=count * len(policies))
            for policy in policies:
                counted = Statistics(policy)
                async for events in _run_all(engine, log.prepared(policy, limit)):
                    counted.add(events)
                    bar.advance(task)
                statistics.append(counted)
    return statistics


def _print_statistics(names: Sequence[str], statistics: Sequence[Statistics], as_json: bool) -> None:
    """Print the statistics of one policy, or those of two side by side."""
    console = Console(highlight=False)
    if len(statistics) == 1:
        (only,) = statistics
        if as_json:
            print(json.dumps(only.as_json(), ensure_ascii=False))
        else:
            print_statistics(console, only, names[0])
        return
    first, second = statistics
    if as_json:
        print(json.dumps({"policy": first.as_json(), "against": second.as_json()}, ensure_ascii=False))
    else:
        print_comparison(console, (names[0], first), (names[1], second))
