"""Real workflows give the events that the pure core gives: one set of rules, two engines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from activities.policies.store import Policies
from cases.vocabulary.events import Event
from starter.rehearsal.command import ENGINES
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import Engine, Prepared
from starter.rehearsal.event_log import load_log, load_mapping
from starter.rehearsal.expectations import judge
from starter.rehearsal.scenario import load_scenario
from tests.cli.program import spawn
from tests.real_logs import help_desk

TESTS = Path(__file__).parents[1]
SCENARIOS = [*sorted((TESTS / "scenarios").glob("*.toml")), *sorted((TESTS / "company" / "scenarios").glob("*.toml"))]
DATA = Path(__file__).parent / "data"
# A real workflow takes a third of a second of the processor for a case.
REAL_CASES = 200


@pytest.fixture(scope="module")
async def temporal() -> AsyncIterator[Engine]:
    async with ENGINES["temporal"]() as running:
        yield running


async def differing(engine: Engine, cases: Iterable[Prepared]) -> list[str]:
    """The keys of the cases whose events are not those of the core."""
    limit = asyncio.Semaphore(engine.parallel)

    async def differs(case: Prepared) -> str | None:
        async with limit:
            events = await engine.run_case(case)
        return None if timeless(events) == timeless(run_case(case)) else case.key

    return [key for key in await asyncio.gather(*map(differs, cases)) if key is not None]


def timeless(events: Iterable[Event]) -> list[Event]:
    """The events without the moment at which they were written down."""
    return [replace(event, recorded_at=event.at) for event in events]


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
async def test_scenarios_give_equal_events(temporal: Engine, every: int) -> None:
    scenarios = [load_scenario(path, Policies()) for path in SCENARIOS[::every]]
    assert await differing(temporal, [scenario.case for scenario in scenarios]) == []
    # What equals the core's events is judged like them; one is judged here to see that it is.
    assert all(verdict.holds for verdict in judge(scenarios[0], run_case(scenarios[0].case)))


async def test_a_log_gives_equal_events(temporal: Engine) -> None:
    log = load_log(DATA / "desk.csv", load_mapping(DATA / "desk.toml"))
    cases = list(log.prepared(Policies().load("default")))
    assert cases
    assert await differing(temporal, cases) == []


@pytest.mark.long
@pytest.mark.real_log
@pytest.mark.timeout(600)
async def test_cases_of_the_real_log_give_equal_events(temporal: Engine) -> None:
    path = help_desk()
    log = load_log(path, load_mapping(path.with_suffix(".toml")))
    cases = list(log.prepared(Policies().load("default"), REAL_CASES))
    assert len(cases) == REAL_CASES
    assert await differing(temporal, cases) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_events_and_nothing_else_go_to_stdout(engine: str) -> None:
    answer = spawn("rehearse", "--engine", engine, "--json", str(SCENARIOS[0]))
    assert answer.code == 0, answer.err
    assert {json.loads(line)["key"] for line in answer.out.splitlines()} == {
        load_scenario(SCENARIOS[0], Policies()).case.key
    }


async def test_a_difference_would_be_found(temporal: Engine) -> None:
    scenario = load_scenario(SCENARIOS[-1], Policies())
    events = await temporal.run_case(replace(scenario.case, intake={**scenario.case.intake, "key": "another"}))
    assert timeless(events) != timeless(run_case(scenario.case))
