"""Policy: what is in force with its clauses, and what differs between two versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from starlette.responses import Response

from cases.policy.model import Policy
from cases.policy.tables import ClockRule
from cases.vocabulary.refusals import Refused
from cases.working_calendar import WEEKDAYS
from starter.console.papers.titles import FormTranslations
from starter.console.times import span
from starter.console.translations import PageTranslations
from starter.console.web import Look, Message
from starter.policies import differences

# Of a hash so much is shown.
SHORT = 8


async def policy(look: Look) -> Response:
    """Return the page: one policy, and beside it the difference to another where ``with`` names one."""
    wanted = look.request.query_params
    pinned = await look.services.casebook.policies()
    shown, other = look.policy, None
    try:
        shown = await _load(look, wanted.get("hash") or wanted.get("name") or "default")
        other = await _load(look, wanted["with"]) if wanted.get("with") else None
    except Refused as refusal:
        look.message = Message("bad", look.words.refusal(refusal))
    names = [(name, name) for name in look.services.policies.names()]
    names += [(hash, f"{name} · {hash[:SHORT]}") for hash, name in pinned]
    return look.page(
        "policy.html",
        page="policy",
        shown=shown,
        chosen=wanted.get("hash") or wanted.get("name") or "default",
        other=other,
        compared=wanted.get("with") or "",
        changed=differences(shown, other) if other else [],
        names=names,
        rules=list(_rules(shown, look)),
        clocks=[(kind, clock, rule, limit_of(rule, _words(look, shown, kind))) for kind, clock, rule in _clocks(shown)],
        permissions=sorted((name, shown.expand(roles)) for name, roles in shown.permissions.items()),
        short=SHORT,
    )


async def _load(look: Look, name: str) -> Policy:
    """Return a policy by its name, or by the hash that a case is pinned to."""
    document = await look.services.casebook.policy_document(name) if len(name) == 64 else None
    return look.services.policies.load(name) if document is None else Policy.from_document(document)


def _rules(policy: Policy, look: Look) -> Iterator[tuple[str, str, str]]:
    """Return what is in force as (what, rule, clause)."""
    say, words = look.say, look.words
    ladder, reminders = policy.ladder, policy.ladder.reminders
    yield say("policy.ladder"), " → ".join(words.word("role", rung) for rung in ladder.rungs), ladder.clause
    growing = say(
        "policy.reminders_are",
        first=_span(reminders.first, look),
        factor=reminders.factor,
        longest=_span(reminders.longest, look),
    )
    yield say("policy.reminders"), growing, reminders.clause
    for rung in ladder.rungs:
        limit = policy.authority.limits.get(rung)
        allowed = say("policy.any_amount") if limit is None else say("policy.up_to", amount=limit)
        yield say("policy.decides", role=words.word("role", rung)), allowed, policy.authority.clause
    if policy.approvals is not None:
        from_on = say("policy.passkey_from", amount=policy.approvals.passkey_from)
        yield say("policy.approvals"), from_on, policy.approvals.clause
    for level, rung in policy.severity.starts_at.items():
        started = say("policy.starts_at", role=words.word("role", rung))
        yield say("policy.severity", severity=words.word("severity", level)), started, policy.severity.clause
    for place, day in enumerate(WEEKDAYS):
        windows = ", ".join(policy.calendar.windows.get(day, ())) or say("policy.off")
        yield say(f"weekday.{place + 1}"), windows, policy.calendar.clause
    for kind in policy.kinds:
        rule, named = policy.rule(kind), words.word("kind", kind)
        if rule.reopens:
            within = say("policy.within_days", count=rule.reopen_days)
            yield say("policy.reopened", kind=named), within, rule.reopen_clause
        for name, years, clause in rule.years():
            yield say(f"period.{name}", kind=named), say("policy.within_years", count=years), clause


def _words(look: Look, policy: Policy, kind: str) -> PageTranslations:
    """Return the words for a kind; a form brings those for its fields along."""
    return FormTranslations(look.words, kind, policy.form[kind]) if kind in policy.form else look.words


def _clocks(policy: Policy) -> Iterator[tuple[str, str, ClockRule]]:
    for kind in policy.kinds:
        for clock, rule in policy.rule(kind).clocks.items():
            yield kind, clock, rule


def _span(length: timedelta, look: Look) -> str:
    return span(length.total_seconds(), look.words)


def limit_of(rule: ClockRule, words: PageTranslations) -> str:
    """Return how long a clock runs."""
    if rule.calendar_days is not None:
        return words.say("policy.calendar_days", count=rule.calendar_days)
    if rule.working_time is not None:
        return words.say("policy.working", span=span(rule.working_time.total_seconds(), words))
    if rule.next_opening:
        return words.say("policy.next_opening")
    if rule.bound_to is not None:
        field = words.word("fact", rule.bound_to)
        if rule.month_day is not None:
            return words.say("policy.month_day", day=rule.month_day, field=field)
        if rule.week_day is not None:
            return words.say("policy.week_day", day=words.say(f"weekday.{rule.week_day}"), field=field)
        return words.say("policy.until", field=field)
    return words.say("policy.as_promised") if rule.elapsed is None else span(rule.elapsed.total_seconds(), words)
