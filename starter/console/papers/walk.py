"""Forms walked through in the pure core: nothing is stored, and nobody hears of it.

What somebody types decides how long it takes, so it is bounded: by commands, by events, and by time to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cases.kinds.form import Form
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter.console.papers.paper import Paper
from starter.rehearsal.engine import refused_entry

# Steps that are signed at their limits, as often as they may be asked; events of one walk; and how far it may go.
_MOST_SIGNED, _MOST_EVENTS = 100, 1000
FURTHEST = timedelta(days=3 * 366)


@dataclass(frozen=True)
class Act:
    """One command at an aware instant, by a role; ``fields`` in plain JSON."""

    at: datetime
    command: str
    by: Actor
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Walked:
    """How far a form came: the case, its events with those of refused commands in their places, and what stopped it."""

    case: Form | None
    events: tuple[Event, ...]
    stopped: Refused | None = None


class _TooMuch(Exception):
    """Raised when a walk leads to more events than anybody reads."""


def opened(paper: Paper, intake: Mapping[str, Any], at: datetime) -> Form:
    """Return the form as it is when it is filed.

    Raises:
        Refused: the form does not take it.
    """
    case = paper.form.open(read_intake(paper.form.INTAKE, intake), paper.policy, at)
    case.rehearse_effects(case.events[-1].at)
    return case


def intake_of(fields: Mapping[str, Any], filer: Actor, key: str | None) -> dict[str, Any]:
    """Return what is filed."""
    return {
        "key": key or "EXAMPLE",
        "facts": {"filed_by": {"id": filer.id, "role": filer.role}, "fields": dict(fields)},
    }


def at_the_limits(paper: Paper, fields: Mapping[str, Any], filer: Actor, at: datetime) -> Walked:
    """Walk a form whose every step is signed at the very limit of its clock."""
    table = paper.table
    taken = {name: fields[name] for name in table.taken if name in fields}
    try:
        key = None if table.key_field is None else str(taken.get(table.key_field))
        case = opened(paper, intake_of(taken, filer, key), at)
    except (Refused, ValueError, OverflowError) as error:
        return Walked(None, (), _refusal(error))
    try:
        for _ in range(_MOST_SIGNED):
            step = case.route.present
            if step is None or not case.route.turn:
                break
            asked = case.approvals.waiting(str(step.name)) if step.decision else None
            due = case.clocks[step.clock if asked is None else asked.clock].due
            role = case.route.turn[0]
            filled = {name: fields[name] for name in table.step(str(step.name)).fills}
            body: dict[str, Any] = {"text": "…"} if step.opinion else {}
            if asked is not None:
                command, body = "approve", {"subject": asked.subject}
            else:
                command, body = "sign", {**body, **({"fields": filled} if filled else {})}
            when = max(due, case.events[-1].at)
            _do(case, Act(when, command, Actor(f"{role}-1", role), body))
    except (Refused, ValueError, OverflowError) as error:
        return Walked(case, tuple(case.events), _refusal(error))
    except _TooMuch:
        pass
    return Walked(case, tuple(case.events))


def rehearsed(
    paper: Paper,
    intake: Mapping[str, Any],
    at: datetime,
    acts: Sequence[Act],
    until: datetime,
    filled: Mapping[str, Any],
) -> Walked:
    """Walk a form as somebody tries it out; refused commands stand among the events.

    Args:
        acts: in the order of time, none before ``at``.
        until: so far time passes after the last of them.
        filled: what signatures fill.
    """
    try:
        case = opened(paper, intake, at)
    except (Refused, ValueError, OverflowError) as error:
        return Walked(None, (), _refusal(error))
    refused: list[tuple[int, Event]] = []
    try:
        for act in acts:
            try:
                _do(case, _whole(case, act, filled))
            except Refused as refusal:
                entry = refused_entry(act.command, act.by, refusal, paper.policy.local(act.at))
                refused.append((len(case.events), entry))
        if until > case.events[-1].at:
            case.elapse(until, after_each=_settling(case))
    except (ValueError, OverflowError) as error:
        return Walked(case, tuple(case.events), _refusal(error))
    except _TooMuch:
        pass
    events = list(case.events)
    for place, entry in reversed(refused):
        events.insert(place, entry)
    return Walked(case, tuple(events))


def _refusal(error: Exception) -> Refused:
    # A limit that the calendar never reaches is a fault of the table.
    return error if isinstance(error, Refused) else Refused("bad_policy", str(error))


def _whole(case: Form, act: Act, filled: Mapping[str, Any]) -> Act:
    """Return an act with what a step needs that nobody types: what it decides, and what it fills."""
    step = case.route.present
    if step is None:
        return act
    if act.command in ("approve", "reject"):
        return replace(act, fields={**act.fields, "subject": str(step.name)})
    names = case.rule.step(str(step.name)).fills if act.command == "sign" else ()
    return replace(act, fields={**act.fields, "fields": {name: filled[name] for name in names}}) if names else act


def _do(case: Form, act: Act) -> None:
    settle = _settling(case)
    raw = {**act.fields, "by": act.by.as_json()}
    case.decide(read_command(case.COMMANDS, act.command, raw), act.at, settle)
    settle(act.at)


def _settling(case: Form) -> Callable[[datetime], None]:
    def settle(at: datetime) -> None:
        case.rehearse_effects(at)
        if len(case.events) > _MOST_EVENTS:
            raise _TooMuch

    return settle
