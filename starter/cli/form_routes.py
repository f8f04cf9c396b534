"""A form's route as text: who signs after whom, when, by when, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cases.policy.forms import FormTable, RoleRule, StepRule, When
from cases.policy.model import Policy
from cases.policy.tables import ClockRule
from cases.working_calendar import WEEKDAYS
from starter.cli import output


def lines(name: str, policy: Policy) -> Iterator[str]:
    """Yield the lines that draw the route of a form of a policy."""
    table = policy.form[name]
    yield f"{name}: {' · '.join(dict.fromkeys(table.titles(name).values()))} ({table.clause})"
    yield f"  filed by {_any(table.files)}{_told(table.notify)}"
    for number, step in enumerate(table.steps, 1):
        yield f"  {number}. {step.titles['en']} [{step.name}]: {_step(name, step, policy)}"
        yield f"     {_clock(_rule(table, step))}{_told(step.notify)}"
    if table.early is not None:
        yield f"  before that, {_any(table.early.roles)} may let it take effect; {_clock(table.early.clock)}"
    if "whole" in table.clocks:
        yield f"  as a whole: {_clock(table.clocks['whole'])}"
    yield f"  at the end: {', '.join(_end(table))}"


def limit(rule: ClockRule) -> str:
    """Say in words what the limit of a clock is."""
    if rule.calendar_days is not None:
        return output.count(rule.calendar_days, "calendar day")
    if rule.working_time is not None:
        return f"{output.span(rule.working_time)} working time"
    if rule.month_day is not None:
        return f"day {rule.month_day} of the month after that in {rule.field}"
    if rule.week_day is not None:
        return f"{WEEKDAYS[rule.week_day - 1].capitalize()} after the week in {rule.field}"
    if rule.until is not None:
        return f"the moment in {rule.until}"
    if rule.next_opening:
        return "next opening"
    return "as promised" if rule.elapsed is None else output.span(rule.elapsed)


def _step(name: str, step: StepRule, policy: Policy) -> str:
    if step.decides is not None:
        who = f"decided by {step.decides}: {_authority(name, policy)}"
    elif step.any_of:
        who = _any(step.any_of)
    else:
        who = " and ".join(_role(rule) for rule in step.roles)
    notes = [
        "opinion with a text" if step.act == "opinion" else "",
        f"fills {', '.join(step.fills)}" if step.fills else "",
        "also who filed it" if step.own else "",
        "above who filed it" if step.superior else "",
        "" if step.refusable else "cannot be refused",
    ]
    return "; ".join([f"{who}{_if(step.when)}", *filter(None, notes)])


def _authority(name: str, policy: Policy) -> str:
    own = policy.form[name].authority
    rungs, limits = (policy.ladder.rungs, policy.authority.limits) if own is None else (own.rungs, own.limits)
    return ", ".join(f"{rung} up to {limits[rung]} yuan" if rung in limits else f"{rung} any amount" for rung in rungs)


def _rule(table: FormTable, step: StepRule) -> ClockRule:
    rule = table.clock("approval" if step.decides else f"step:{step.name}")
    assert rule is not None, f"the policy gives {step.name} a clock"
    return rule


def _clock(rule: ClockRule) -> str:
    warned = "".join(f", warned at {percent} %" for percent in rule.warn_percent)
    late = "" if rule.escalates_to is None else f", late goes to {rule.escalates_to}"
    return f"limit: {limit(rule)}{warned}{late} ({rule.clause})"


def _role(rule: RoleRule) -> str:
    return f"{_who(rule.role)}{_if(rule.when)}"


def _if(when: When) -> str:
    return "".join(f" if {name} is {' or '.join(values)}" for name, values in when.items())


def _who(name: str) -> str:
    if name.startswith("field:"):
        return f"the role in {name.removeprefix('field:')}"
    return f"{name.removesuffix('+')} and above" if name.endswith("+") else name


def _any(names: Iterable[str]) -> str:
    return " or ".join(map(_who, names))


def _told(names: Iterable[str]) -> str:
    told = ", ".join(map(_who, names))
    return f"; told: {told}" if told else ""


def _end(table: FormTable) -> Iterator[str]:
    yield table.outcome
    if table.copies:
        yield "copies " + " ".join(f"{number} {_who(to)}" for number, to in enumerate(table.copies, 1))
    if table.effect is not None:
        yield f"effect {table.effect}"
    if table.reopens:
        yield f"may be reopened within {output.count(table.reopen_days, 'day')}"
    yield f"kept {output.count(table.retain_years, 'year')}"
