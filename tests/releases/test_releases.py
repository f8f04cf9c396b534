"""What cases were made of under the rules of each number stays readable, and goes on to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import zip_longest
from typing import Any

import pytest

from activities.casebook.ledger import check
from activities.policies.store import Policies
from cases.case import Case
from cases.kinds.complaint import Complaint, Investigate
from cases.policy.model import Policy
from cases.registry import KINDS, kind_of
from cases.rules import REASONS, RULES
from cases.vocabulary.events import EVENTS, Actor, Event, canonical, text_at
from cases.vocabulary.lifecycle import Noted
from cases.vocabulary.texts import resolved
from tests.releases import stored
from tests.releases.finishing import finish
from tests.releases.make import refusal
from tests.releases.scenarios import FILES, emitted, prepared
from tests.releases.stored import FOLDERS, PRESENT, Json

LEDGERS = {f"{n}/{name}": one for n, folder in FOLDERS.items() for name, one in stored.ledgers(folder).items()}
SCENARIOS = {f"{n}/{key}": one for n, folder in FOLDERS.items() for key, one in stored.scenario_events(folder).items()}
POLICIES = {n: stored.policies(folder) for n, folder in FOLDERS.items()}
# In so many places, about, a ledger is cut.
PLACES = 8
CHANGED = """\
{name}: the rules emit other events than rules {rules} did (tests/releases/rules-{rules}).
Running cases would not be recorded any more. If a rule has changed, raise RULES in cases/rules.py, say why in REASONS,
and run `make releases`. If only the scenario is new or reworded, run `python -m tests.releases.make scenarios`.
{difference}"""


# --- the present rules ----------------------------------------------------------------------------------


def check_emitted(name: str) -> None:
    """Compare what the rules emit in a scenario with what they emitted.

    Raises:
        AssertionError: it is not the same to the byte.
    """
    now = emitted(name)
    key = prepared(name).key
    then = [canonical({**event, "key": key}) for event in SCENARIOS.get(f"{RULES}/{key}", ())]
    if now != then:
        one, other = next(pair for pair in zip_longest(then, now, fillvalue="nothing") if pair[0] != pair[1])
        raise AssertionError(CHANGED.format(name=name, rules=RULES, difference=f"then {one}\nnow  {other}"))


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_rules_emit_what_they_emitted(name: str) -> None:
    check_emitted(name)


def test_a_rule_that_emits_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    investigates = Complaint._do_investigate

    def says_more(self: Complaint, command: Investigate, at: datetime, by: Actor) -> None:
        investigates(self, command, at, by)
        self.emit(Noted(text="who sorted it?"), at)

    monkeypatch.setattr(Complaint, "_do_investigate", says_more)

    with pytest.raises(AssertionError, match=r"raise RULES in cases/rules\.py, say why in REASONS"):
        check_emitted("05a-delay-weather-uninsured")


def test_policies_say_nothing_new() -> None:
    """A clock or a field that is new changes what is emitted where a policy has it, though no stored one does."""
    pinned = POLICIES[RULES]
    then = json.loads((PRESENT / "least-as-read.json").read_text("utf-8"))
    now = pinned["least"].model_dump(mode="json", exclude={"document"})
    new = sorted(set(paths(now)) - set(paths(then)))
    for name in Policies().names():
        new += sorted(clocks(Policies().load(name)) - clocks(pinned[name]))
    assert not new, f"{', '.join(new)}: new in policies. Raise RULES in cases/rules.py, and run `make releases`."


def clocks(policy: Policy) -> set[str]:
    """Name the clocks of a policy."""
    return {f"{kind}.clocks.{name}" for kind in policy.kinds for name in policy.rule(kind).clocks}


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Name every field in a JSON value, whatever its place in lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}{key}"
            yield from paths(item, f"{path}{key}.")
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{path}*.")


def test_every_number_of_the_rules_has_its_reason_and_its_folder() -> None:
    assert list(REASONS) == list(range(1, RULES + 1)) == list(FOLDERS)
    assert all(REASONS.values())


def test_what_earlier_rules_left_is_never_made_anew() -> None:
    assert refusal(1, [1]) is None
    assert refusal(1, [1, 2]) == "rules-2 is there: what rules 1 made is never made anew"
    assert refusal(RULES + 1, [RULES]) == f"RULES is {RULES + 1}: say why in REASONS (cases/rules.py)"


# --- the rules of every number --------------------------------------------------------------------------


def replayed(policy: Policy, events: list[Event]) -> Case:
    """Return the case that stored events made."""
    return kind_of(events[0].data["kind"], policy).replay(policy, events)


def whole(case: Case) -> None:
    """Look at a case from all sides.

    Raises:
        ValueError: its view is none of its kind.
    """
    type(case).VIEW.model_validate(case.view())
    explained = case.explain(case.events[-1].at)
    assert {clock["clock"] for clock in explained} >= {clock.name for clock in case.clocks.values()}


def recorded(entries: list[Json]) -> list[Event]:
    """Return the events that are part of a ledger; a rehearsal shows refused commands too."""
    return [Event.from_json(entry) for entry in entries if entry["seq"] is not None]


def missing(then: Any, now: Any, path: str = "") -> Iterator[str]:
    """Name what was there then and is not the same now; what came later may stand beside it."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            yield from missing(value, now.get(key), f"{path}.{key}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for place, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from missing(one, other, f"{path}.{place}")
    elif then != now:
        yield f"{path.removeprefix('.')}: {then!r} then, {now!r} now"


@pytest.mark.parametrize("rules", FOLDERS)
def test_every_event_is_written_as_it_was_read(rules: int) -> None:
    events = [event for name, one in SCENARIOS.items() if name.startswith(f"{rules}/") for event in one]
    for event in events:
        if event["seq"] is not None:
            data = EVENTS[event["type"]].read(event["data"]).as_data()
            assert canonical(data) == canonical(event["data"]), event
    assert len({event["type"] for event in events}) > 50


@pytest.mark.parametrize("rules", FOLDERS)
def test_every_kind_is_stored(rules: int) -> None:
    kinds = {ledger.kind for name, ledger in LEDGERS.items() if name.startswith(f"{rules}/")}
    assert kinds >= {"complaint", "claim", "exception", "inquiry", "summary", "handover", "swap"}
    if rules == RULES:
        assert kinds >= {*KINDS}


@pytest.mark.parametrize("name", sorted(LEDGERS))
def test_a_stored_ledger_is_whole_and_makes_the_case_again(name: str) -> None:
    ledger = LEDGERS[name]
    policy = Policy.from_document(ledger.policy)

    assert check(ledger.case_id, ledger.rows, ledger.head) is None
    case = replayed(policy, ledger.events())
    whole(case)
    view = {**case.view(), "number": ledger.view["number"]}
    # Views of earlier releases hold the texts to which these refer.
    told = resolved(view, lambda seq, path: text_at(case.event(seq).as_json(), path))
    assert [] in (list(missing(ledger.view, view)), list(missing(ledger.view, told)))
    assert (
        list(missing(view, {**replayed(policy, ledger.events_without_texts()).view(), "number": view["number"]})) == []
    )


@pytest.mark.parametrize("name", sorted(LEDGERS))
def test_a_stored_ledger_goes_on_to_its_end(name: str) -> None:
    """From its end, and from wherever it may have ended before."""
    ledger = LEDGERS[name]
    policy, events = Policy.from_document(ledger.policy), ledger.events_without_texts()
    steps = replayed(policy, events).steps
    for length in {*steps[:: len(steps) // PLACES + 1], steps[-1]}:
        finish(replayed(policy, events[:length]))


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_stored_scenario_goes_on_to_its_end(name: str) -> None:
    """From its end, and from its middle."""
    events = recorded(SCENARIOS[name])
    if not events:
        return  # refused, so there is no case
    policy = POLICIES[int(name.partition("/")[0])][events[0].data["policy"]]
    case = replayed(policy, events)
    whole(case)
    assert (case.key, case.view()["events"]) == (name.partition("/")[2], len(events))
    half = case.steps[len(case.steps) // 2]
    finish(case)
    finish(replayed(policy, events[:half]))


def test_most_stored_cases_are_open() -> None:
    """Else the tests above would say little."""
    open_ = [name for name, ledger in LEDGERS.items() if ledger.view["status"] != "closed"]
    assert len(open_) > 10
