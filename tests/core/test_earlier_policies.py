"""The policies that cases pinned under another release: readable for ever, and meaning what they meant then.

``tests/releases/rules-N`` holds policies as cases pinned them under those rules; they are never made anew. Of
``policy-least.json``, which says only what a policy had to say, ``least-as-read.json`` is what was read in it then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from activities.policies.store import Policies, published_years
from cases.case import Case
from cases.kinds.complaint import Complaint, ComplaintTable
from cases.kinds.inquiry import Inquiry
from cases.policy import earlier, model
from cases.policy.model import Policy
from cases.registry import KINDS, declare, kind_of
from cases.vocabulary.commands import COMMANDS, Command, read_command
from cases.vocabulary.events import EVENTS, Actor, Event, canonical
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Model
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import UNRECORDED, Prepared
from starter.rehearsal.scenario import load_scenario
from tests.core.support import DEFAULT, ROOT, default_policy

RELEASES = ROOT / "tests" / "releases"
PINNED = {f"{path.parent.name}/{path.stem}": path.read_text("utf-8") for path in RELEASES.glob("*/policy-*.json")}
SCENARIOS = {path.stem: path for path in (ROOT / "tests" / "scenarios").glob("*.toml")}
FIRST = "rules-1/policy-default"
CLOCKS = [(kind, clock) for kind, declared in KINDS.items() for clock in declared.TABLE.CLOCKS]
# Who is asked to sign hears until when, so that no route ever was without the clock.
NEEDED = {("summary", "signature"), ("return", "step"), ("quality", "step"), ("quality", "opinion")}


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Leave no kind or command of another release behind."""
    registries: tuple[dict[str, Any], ...] = (KINDS, COMMANDS, EVENTS)
    known = [dict(registry) for registry in registries]
    yield
    for registry, before in zip(registries, known, strict=True):
        registry.clear()
        registry.update(before)


@cache
def scenario(name: str) -> Prepared:
    """Load a scenario as this release reads it, under the document of its policy that the first release pinned.

    What came later runs under its own.
    """
    prepared = load_scenario(SCENARIOS[name], Policies()).case
    first = Policy.from_document(PINNED.get(f"rules-1/policy-{prepared.policy.name}", prepared.policy.document))
    return replace(prepared, policy=first) if prepared.kind in first.kinds else prepared


def under(prepared: Prepared, document: str) -> Prepared:
    """Return the case under a policy that it pinned, as the present release reads it."""
    return replace(prepared, policy=Policy.from_document(document))


def happened(events: list[Event]) -> list[Any]:
    """Return what happened, whatever the hash of the policy."""
    return [(e.type, e.at, e.actor, e.clauses, {**e.data, "policy_hash": None}) for e in events if e.seq != UNRECORDED]


def go_on(prepared: Prepared, events: list[Event], done: int) -> Case:
    """Restore a case from its events, after so many of its steps, and let it run to its end."""
    kind, effects = kind_of(prepared.kind, prepared.policy), prepared.effects
    case = kind.replay(prepared.policy, events)

    def settle(at: datetime) -> None:
        told = effects.notices, effects.payout, effects.earlier_claims, effects.serial, effects.merge, effects.reply
        case.rehearse_effects(at, *told)

    for step in prepared.steps[done:]:
        case.elapse(step.at, inclusive=False, after_each=settle)
        by = {"id": step.by, "role": step.role or case.ladder.rung}
        # Refused as it was the first time; what differs shows in the events.
        with suppress(Refused):
            case.decide(read_command(kind.COMMANDS, step.command, {**step.fields, "by": by}), step.at, settle)
        settle(step.at)
    if prepared.until is not None:
        case.elapse(prepared.until, after_each=settle)
    return case


# --- every release --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PINNED))
def test_a_pinned_policy_stays_readable(name: str) -> None:
    try:
        policy = Policy.from_document(PINNED[name])
    except Refused as refusal:
        pytest.fail(f"{refusal.message}: a field that is required now has a line in cases.policy.earlier.MEANT")
    assert policy.document == PINNED[name] == canonical(json.loads(policy.document))
    assert policy.hash == hashlib.sha256(PINNED[name].encode()).hexdigest()
    document = json.loads(policy.document)
    kinds = {"complaint", "claim", "exception", "inquiry"}
    assert {*document, *document.get("form", {})} >= set(policy.kinds) >= kinds


def differing(then: Any, now: Any, path: str = "") -> Iterator[str]:
    """Name what was read then and is not the same now; what came later may be beside it."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            yield from differing(value, now.get(key), f"{path}.{key}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for place, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differing(one, other, f"{path}.{place}")
    elif then != now:
        yield f"{path.removeprefix('.')}: {then!r} then, {now!r} now"


@pytest.mark.parametrize("read_then", sorted(RELEASES.glob("*/least-as-read.json")), ids=lambda path: path.parent.name)
def test_what_a_policy_does_not_say_means_what_it_meant(read_then: Path) -> None:
    """A default is the meaning of every policy that was pinned without the field: it never changes."""
    policy = Policy.from_document((read_then.parent / "policy-least.json").read_text("utf-8"))
    assert list(differing(json.loads(read_then.read_text("utf-8")), policy.model_dump(mode="json"))) == []


# --- a later release reads the policies of this one -----------------------------------------------------


class Later(ComplaintTable):
    """The table of complaints in a later release."""

    parcels: int


class Other(Inquiry):
    """A kind that later policies must have."""

    KIND: ClassVar[str] = "other"
    WORKFLOW = "Other"
    IN_EVERY_POLICY = True


@pytest.fixture
def a_later_release(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make this release a later one, when called: with one more clock, required field, command and kind."""

    def start(case: Complaint, at: datetime) -> None:
        starts_clocks(case, at)
        case.clocks.start("weighing", at)
        case.clocks.meet(at, "weighing")

    starts_clocks = Complaint._start_clocks

    def begin() -> None:
        # Read anew, by the kinds as they are then.
        monkeypatch.setattr(model, "_model", cache(model._model.__wrapped__))
        monkeypatch.setattr(model, "_read", cache(model._read.__wrapped__))

        class Weigh(Command):
            """Weigh the parcel."""

            NAME = "weigh"

        declare(Other)
        monkeypatch.setattr(Complaint, "TABLE", Later)
        monkeypatch.setattr(Later, "CLOCKS", (*ComplaintTable.CLOCKS, "weighing"))
        monkeypatch.setattr(Complaint, "_start_clocks", start)
        monkeypatch.setitem(earlier.MEANT, "complaint.parcels", 3)

    return begin


def test_a_later_release_reads_what_was_meant(a_later_release: Callable[[], None]) -> None:
    a_later_release()
    for document in PINNED.values():
        policy = Policy.from_document(document)
        table = policy.rule("complaint")
        assert isinstance(table, Later)
        assert (table.parcels, table.clock("weighing")) == (3, None)
        assert "other" not in policy.kinds
        assert policy.permitted("weigh") == set(policy.ladder.rungs)
        assert policy.document == document


def test_a_file_is_not_read_as_what_was_meant(a_later_release: Callable[[], None]) -> None:
    text, parcels = DEFAULT, "[complaint]\nparcels = 3\n"
    clock = '[complaint.clocks.weighing]\nelapsed = "PT1H"\nclause = "x"\n'
    a_later_release()
    for missing, added in (
        ("complaint.parcels is missing", parcels),
        ("other is missing", '[other]\nreopen_days = 1\nreopen_clause = "x"\n[other.clocks]\n'),
        ("complaint.clocks.weighing is missing", clock),
        ("other.clocks.inquiry is missing", ""),
    ):
        with pytest.raises(Refused, match=missing):
            Policy.from_toml(text, published_years())
        text = text.replace("[complaint]\n", added) if added == parcels else f"{text}\n{added}"


def test_a_required_field_needs_its_meaning(
    a_later_release: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_later_release()
    monkeypatch.delitem(earlier.MEANT, "complaint.parcels")
    with pytest.raises(Refused, match=r"^policy: complaint\.parcels is missing$"):
        Policy.from_document(PINNED[FIRST])


class Place(Model):
    """A table in which ``owner`` came later."""

    owner: str


class Places(Model):
    """Such tables under names and in a list."""

    named: dict[str, Place]
    listed: tuple[Place, ...]


def test_a_meaning_may_hold_in_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for pattern, value in (("named.*.owner", "them"), ("listed.*.owner", "us")):
        monkeypatch.setitem(earlier.MEANT, pattern, value)
    content: dict[str, Any] = {"named": {"a": {}, "b": {"owner": "me"}}, "listed": [{"owner": "me"}, {}]}
    with pytest.raises(ValidationError) as caught:
        Places.model_validate(content)
    read = Places.model_validate(earlier.as_it_was_meant(content, caught.value))
    assert [read.named["a"].owner, read.named["b"].owner] == ["them", "me"]
    assert [place.owner for place in read.listed] == ["me", "us"]
    assert content["named"]["a"] == {}


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_case_runs_on_in_a_later_release(name: str, a_later_release: Callable[[], None]) -> None:
    """It opens, goes on from any step and ends as it would have."""
    prepared = scenario(name)
    wanted = run_case(prepared)
    half = len(prepared.steps) // 2
    begun = run_case(replace(prepared, steps=prepared.steps[:half], until=None))
    a_later_release()
    now = under(prepared, prepared.policy.document)
    assert happened(run_case(now)) == happened(wanted)
    if begun[0].seq == UNRECORDED:
        return  # refused as it was
    case = go_on(now, [event for event in begun if event.seq != UNRECORDED], half)
    assert happened(case.events) == happened(wanted)
    type(case).VIEW.model_validate(case.view())
    assert case.explain(case.events[-1].at)


@pytest.mark.parametrize(("kind", "clock"), CLOCKS)
def test_no_clock_is_needed(kind: str, clock: str) -> None:
    """Each was new once: a case whose policy does not have it runs as if it had never been."""
    content = json.loads(PINNED[FIRST])
    if kind not in content:
        content = json.loads(default_policy().document)
    content[kind]["clocks"].pop(clock, None)
    document = canonical(content)
    if (kind, clock) in NEEDED:
        with pytest.raises(Refused, match=f"{kind}.clocks.{clock} is missing"):
            Policy.from_document(document)
        return
    ran = 0
    for name in SCENARIOS:
        prepared = scenario(name)
        if prepared.kind == kind and prepared.policy.name == "default":
            events = run_case(under(prepared, document))
            assert not [event for event in events if str(event.data.get("clock")).partition(":")[0] == clock], name
            ran += 1
    assert ran > 1


# --- the release before reads the policies of this one --------------------------------------------------


def of_a_later_release(document: str) -> str:
    """Return a policy that says what this release does not know, wherever it may."""
    content = json.loads(document)
    content["weather"] = {"limit": 3}
    content["other"] = content["inquiry"]
    content["permissions"]["weigh"] = ["agent", "driver"]
    content["severity"]["starts_at"]["trifling"] = content["ladder"]["rungs"][0]
    content["ladder"]["reminders"]["jitter"] = "PT1M"
    content["calendar"]["years"]["2026"]["half_days"] = ["2026-02-16"]
    content["compensation"]["proposal_days"]["orbit"] = 365
    for kind in ("complaint", "claim", "exception", "inquiry", "summary", "handover", "swap"):
        content[kind]["parcels"] = 3
        content[kind]["clocks"]["weighing"] = {"moons": 3, "clause": "x"}
        content[kind].setdefault("permissions", {})["weigh"] = ["agent"]
        for clock in content[kind]["clocks"].values():
            clock["grace"] = "PT1M"
    for route in content["notice"]:
        route["on"].append("weighed")
        route["urgent"] = True
    new = {"name": "weighed", "on": ["weighed"], "kinds": ["other"], "meets": ["weighing"], "to": ["driver"]}
    content["notice"].append({**new, "clause": "x"})
    return canonical(content)


@pytest.mark.parametrize("name", sorted(PINNED))
def test_what_is_not_known_is_passed_over(name: str) -> None:
    document = of_a_later_release(PINNED[name])
    policy, known = Policy.from_document(document), Policy.from_document(PINNED[name])
    assert policy.document == document
    assert policy.hash == hashlib.sha256(document.encode()).hexdigest() != known.hash
    assert (policy.kinds, policy.severity, policy.ladder) == (known.kinds, known.severity, known.ladder)
    assert (policy.calendar, policy.compensation) == (known.calendar, known.compensation)
    assert policy.rule("complaint").clock("answer") == known.rule("complaint").clock("answer")


def test_a_rung_must_be_known() -> None:
    """What climbs must get somewhere."""
    for place, key, value in (("severity", "starts_at", "boss"), ("permissions", "extend", "boss+")):
        content = json.loads(PINNED[FIRST])
        content[place][key] = {"normal": value, "serious": value, "critical": value} if key == "starts_at" else [value]
        with pytest.raises(Refused, match=f"{place}.{key}.* = '{value[:4]}"):
            Policy.from_document(canonical(content))


def test_a_limit_that_is_not_known_is_told() -> None:
    """Without it the clock would never be due."""
    content = json.loads(PINNED[FIRST])
    content["complaint"]["clocks"]["answer"] = {"moons": 3, "clause": "x"}
    with pytest.raises(Refused, match=r"complaint\.clocks\.answer has no limit"):
        Policy.from_document(canonical(content))


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_case_runs_on_in_the_release_before(name: str) -> None:
    prepared = scenario(name)
    now = under(prepared, of_a_later_release(prepared.policy.document))
    assert happened(run_case(now)) == happened(run_case(prepared))


def test_a_clock_that_is_not_known_still_runs() -> None:
    """A case in which a later release started it goes on, and its breach goes where the policy says."""
    content = json.loads(of_a_later_release(PINNED[FIRST]))
    content["complaint"]["clocks"]["weighing"]["escalates_to"] = "qa_manager"
    policy = Policy.from_document(canonical(content))
    [opened, *_] = run_case(replace(scenario("quick-severity-serious"), policy=policy, until=None))
    due = opened.at.replace(hour=23)
    data = {"clock": "weighing", "due": due.isoformat()}
    started = Event(2, "clock_started", opened.at, opened.at, Actor("caseladder", "system"), (), data)
    case = Complaint.replay(policy, [opened, started])
    assert [event.type for event in case.elapse(due)][:2] == ["clock_breached", "escalated"]
    assert case.ladder.rung == "qa_manager"
