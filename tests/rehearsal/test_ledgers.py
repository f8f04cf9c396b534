"""The ledger's bytes stay what they are: the events of every scenario, as an earlier build wrote them."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from activities.policies.store import Policies
from cases.registry import KINDS
from cases.vocabulary.events import EVENTS, Event, canonical
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import entry_json
from starter.rehearsal.scenario import load_scenario

TESTS = Path(__file__).parents[1]
Json = dict[str, Any]


def _stored() -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = defaultdict(list)
    with gzip.open(TESTS / "ledgers" / "scenarios.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            found[event.pop("key")].append(event)
    return dict(found)


def _text(event: Json) -> str:
    # The hash is that of the policy's file, which may change without a rule.
    return canonical({**event, "data": {**event["data"], "policy_hash": None}})


STORED = _stored()
SCENARIOS = {path.stem: path for path in (TESTS / "scenarios").glob("*.toml")}


def test_every_event_is_written_as_it_was_read() -> None:
    seen = set()
    for events in STORED.values():
        for event in events:
            seen.add(event["type"])
            if event["seq"] is None:
                continue  # shown by a rehearsal, and no part of a ledger
            data = EVENTS[event["type"]].read(event["data"]).as_data()
            assert canonical(data) == canonical(event["data"]), event
    assert len(seen) > 50


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_scenario_gives_the_events_that_it_gave(name: str) -> None:
    scenario = load_scenario(SCENARIOS[name], Policies())
    events = [entry_json(event) for event in run_case(scenario.case)]
    stored = STORED.get(scenario.case.key)
    if stored is None:
        pytest.fail(f"{name}: no stored ledger; add its events to tests/ledgers")
    assert list(map(_text, events)) == list(map(_text, stored))


def test_stored_ledgers_make_cases_whose_views_are_whole() -> None:
    policies, made = Policies(), 0
    for key, entries in STORED.items():
        events = [Event.from_json(event) for event in entries if event["seq"] is not None]
        if not events or events[0].data["policy"] not in policies.names():
            continue
        kind = KINDS[events[0].data["kind"]]
        case = kind.replay(policies.load(events[0].data["policy"]), events)
        view = kind.VIEW.model_validate(case.view())
        assert (view.key, view.events) == (key, len(events))
        made += 1
    assert made > 100
