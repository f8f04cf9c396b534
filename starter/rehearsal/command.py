"""``caseladder rehearse``: scenario files and event logs, on either engine."""

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
from starter.rehearsal.report import explained, print_comparison, print_scenario, print_summary
from starter.rehearsal.scenario import Scenario, load_scenario
from starter.rehearsal.summary import Summary


def _temporal() -> Engine:
    # Half a second to import, and a server to start: only for who asks for it.
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

    Args:
        files: scenario files; none when ``log`` is given.
        engine: a name in `ENGINES`.
        as_json: print events (scenarios) or one summary object (log) as JSON on stdout.
        policy: a policy's name or path, instead of the scenarios' own; for a log, default "default".
        against: a second policy, to compare with on the same log.
        log: a CSV file; needs ``mapping``, which says how to read it.
        limit: run only the first so many cases of the log.
        policies: where policies are found by name; by default the built-in ones.

    Returns:
        0 if every expectation holds, 1 if one fails, 2 for bad input. Everything is read and
        checked before anything runs; messages go to stderr.
    """
    known = policies or Policies()
    try:
        start = _engine(engine)
        if log is None:
            _refuse_options(against=against, mapping=mapping, limit=limit)
            if not files:
                raise BadInput("nothing to rehearse: give scenario files, or --log and --mapping")
            scenarios = [load_scenario(file, known, policy) for file in files]
            _keys_differ(scenarios)
            return asyncio.run(_run_scenarios(start, scenarios, as_json))
        if files:
            raise BadInput(f"{files[0]}: scenario files and --log do not go together")
        if mapping is None:
            raise BadInput("--log needs --mapping, the file that says how its rows read as commands")
        if limit is not None and limit < 1:
            raise BadInput(f"--limit = {limit}: must be 1 or more")
        wanted = [policy or "default"] + ([against] if against is not None else [])
        chosen = [find_policy(name, Path(), known) for name in wanted]
        cases = load_log(log, load_mapping(mapping))
        summaries = asyncio.run(_run_log(start, cases, chosen, limit))
    except BadInput as error:
        print(f"caseladder rehearse: {error}", file=sys.stderr)
        return BAD_INPUT
    _print_summaries([policy.name for policy in chosen], summaries, as_json)
    return HELD


def _engine(name: str) -> Callable[[], Engine]:
    if name not in ENGINES:
        raise BadInput(f"--engine = {name!r}: not an engine; allowed: {', '.join(ENGINES)}")
    return ENGINES[name]


def _refuse_options(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise BadInput(f"--{name} = {value}: allowed only together with --log")


def _keys_differ(scenarios: Sequence[Scenario]) -> None:
    seen: dict[str, Path] = {}
    for scenario in scenarios:
        first = seen.setdefault(scenario.case.key, scenario.path)
        if first is not scenario.path:
            raise BadInput(f"{scenario.path}: key = {scenario.case.key!r} is that of {first} too; keys must differ")


async def _run_all(engine: Engine, cases: Iterator[Prepared]) -> AsyncIterator[list[Event]]:
    """The events of each case, in the order of the cases; so many at a time as the engine likes."""
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
        # Each stops what it has started before the engine itself is left.
        await asyncio.gather(*running, return_exceptions=True)


async def _run_scenarios(start: Callable[[], Engine], scenarios: Sequence[Scenario], as_json: bool) -> int:
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    failed, waiting = 0, iter(scenarios)
    async with start() as engine:
        async for events in _run_all(engine, (scenario.case for scenario in scenarios)):
            scenario = next(waiting)
            verdicts = judge(scenario, events)
            broken = [verdict for verdict in verdicts if not verdict.holds]
            failed += bool(broken)
            if not as_json:
                print_scenario(console, scenario, events, verdicts)
                continue
            for event in events:
                print(json.dumps({**entry_json(event), "key": scenario.case.key}, ensure_ascii=False))
            for verdict in broken:
                lines = [f"{scenario.path}: FAILED {verdict.text}", *explained(verdict)]
                errors.print("\n  ".join(lines), markup=False)
    if not as_json:
        console.print(f"{len(scenarios)} rehearsed, {len(scenarios) - failed} OK, {failed} FAILED")
    return FAILED if failed else HELD


async def _run_log(
    start: Callable[[], Engine], log: EventLog, policies: Sequence[Policy], limit: int | None
) -> list[Summary]:
    count = len(log.rows) if limit is None else min(limit, len(log.rows))
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("rehearsing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    summaries = []
    async with start() as engine:
        with bar:
            task = bar.add_task("", total=count * len(policies))
            for policy in policies:
                summary = Summary(policy)
                async for events in _run_all(engine, log.prepared(policy, limit)):
                    summary.add(events)
                    bar.advance(task)
                summaries.append(summary)
    return summaries


def _print_summaries(names: Sequence[str], summaries: Sequence[Summary], as_json: bool) -> None:
    """One summary, or two side by side; as JSON two stand under the names of their options."""
    console = Console(highlight=False)
    if len(summaries) == 1:
        (only,) = summaries
        if as_json:
            print(json.dumps(only.as_json(), ensure_ascii=False))
        else:
            print_summary(console, only, names[0])
        return
    first, second = summaries
    if as_json:
        print(json.dumps({"policy": first.as_json(), "against": second.as_json()}, ensure_ascii=False))
    else:
        print_comparison(console, (names[0], first), (names[1], second))
