"""The commands ``policy show|check|diff``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from starter.cli import output
from starter.cli.errors import OK
from starter.cli.options import OUTPUT, OutputOptions

if TYPE_CHECKING:
    from cases.policy.model import Policy
    from cases.policy.tables import ClockRule

app = App(name="policy", help="The numbers: show, check and compare policies.")


@app.command
def show(name: str = "default", /, *, options: OutputOptions = OUTPUT) -> int:
    """Show the numbers that a policy puts into effect, each with its clause, and the routes of its forms.

    Args:
        name: a policy's name, or the path of a file.
    """
    from starter.cli.form_routes import limit, lines

    policy = find(name)
    if options.json:
        output.print_json({**json.loads(policy.document), "hash": policy.hash})
        return OK
    output.fields([("policy", policy.name), ("hash", policy.hash), ("zone", policy.zone)])
    output.table(("what", "rule", "clause"), _rules(policy))
    output.table(
        ("kind", "clock", "limit", "warned at", "may be", "breach goes to", "clause"),
        [
            (
                kind,
                clock,
                limit(rule),
                ", ".join(f"{percent} %" for percent in rule.warn_percent),
                ", ".join(word for word, may in (("paused", rule.pausable), ("extended", rule.extendable)) if may),
                rule.escalates_to,
                rule.clause,
            )
            for kind, clock, rule in _clocks(policy)
        ],
    )
    output.table(
        ("notice", "kinds", "on", "to", "clause"),
        [
            (route.name, " ".join(route.kinds) or "all", " ".join(route.on), " ".join(route.to), route.clause)
            for route in policy.notice
        ],
    )
    for form in sorted(policy.form):
        for text in lines(form, policy):
            output.line(text)
        output.line("")
    return OK


@app.command
def check(file: str, /, *, options: OutputOptions = OUTPUT) -> int:
    """Check a policy file; a bad one is named with the key, the value and what is allowed (exit code 2).

    Args:
        file: the TOML file, or a policy's name. What a file extends lies in CASELADDER_POLICIES, without it beside it.
    """
    policy = find(file)
    if options.json:
        output.print_json({"file": file, "name": policy.name, "hash": policy.hash})
    else:
        output.line(f"{file}: good: policy {policy.name}, hash {policy.hash}")
    return OK


@app.command
def diff(a: str, b: str, /, *, options: OutputOptions = OUTPUT) -> int:
    """Compare two policies key by key.

    Args:
        a: a policy's name, or the path of a file.
        b: another one.
    """
    from starter.policies import differences

    changed = differences(find(a), find(b))
    if options.json:
        output.print_json([asdict(row) for row in changed])
    elif changed:
        output.table(("key", a, b), [(row.key, _shown(row.a), _shown(row.b)) for row in changed])
    else:
        output.line(f"{a} and {b} say the same")
    return OK


def find(name: str) -> Policy:
    """Load a policy by its name or by the path of its file.

    Raises:
        Refused: code ``unknown_policy`` or ``bad_policy``.
    """
    from activities.policies.store import Policies
    from starter.settings import load_settings

    policies = Policies(load_settings().policies)
    return policies.read(Path(name)) if "/" in name or name.endswith(".toml") else policies.load(name)


def _rules(policy: Policy) -> Iterator[tuple[str, str, str]]:
    from cases.working_calendar import WEEKDAYS

    ladder, reminders = policy.ladder, policy.ladder.reminders
    yield "ladder", " → ".join(ladder.rungs), ladder.clause
    growing = f"first after {output.span(reminders.first)}, then {reminders.factor} times as long"
    yield "reminders at the top", f"{growing}, at most {output.span(reminders.longest)}", reminders.clause
    for rung in ladder.rungs:
        limit = policy.authority.limits.get(rung)
        yield f"{rung} decides", "any amount" if limit is None else f"up to {limit} yuan", policy.authority.clause
    if policy.approvals is not None:
        asked = f"from {policy.approvals.passkey_from} yuan on with a passkey"
        yield "approvals", asked, policy.approvals.clause
    for level, rung in policy.severity.starts_at.items():
        yield f"severity {level}", f"starts at {rung}", policy.severity.clause
    for day in WEEKDAYS:
        yield day, ", ".join(policy.calendar.windows.get(day, ())) or "off", policy.calendar.clause
    for kind in policy.kinds:
        rule = policy.rule(kind)
        if rule.reopens:
            yield f"{kind} reopened", f"within {output.count(rule.reopen_days, 'day')}", rule.reopen_clause
        for name, years, clause in rule.years():
            yield f"{kind} {name}", f"within {output.count(years, 'year')} of posting", clause
    for command, roles in sorted(policy.permissions.items()):
        yield f"may {command}", " ".join(policy.expand(roles)), ""


def _clocks(policy: Policy) -> Iterator[tuple[str, str, ClockRule]]:
    for kind in policy.kinds:
        for clock, rule in policy.rule(kind).clocks.items():
            yield kind, clock, rule


def _shown(value: Any) -> str:
    return "(none)" if value is None else output.compact(value)
