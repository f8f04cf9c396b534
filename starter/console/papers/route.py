"""A form's route as a page draws it: who acts in which step and when, and by when if every step takes its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cases.policy.forms import BY_FIELD, FieldRule, StepRule
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused
from starter.console.papers.paper import Paper
from starter.console.papers.sample import sample_of
from starter.console.papers.titles import FormTranslations
from starter.console.papers.walk import Walked, at_the_limits
from starter.console.policy import limit_of

# Who files what is only looked at.
FILER = "filer-1"
# The time line is so many units long.
LINE = 1000
WHOLE, EARLY = "whole", "early"


@dataclass(frozen=True)
class Stage:
    """A step as people read it.

    Args:
        who: who acts, each with the condition under which they do.
        how: whether all of them act, one of them, or one of them decides.
        when: the condition of the step; empty without one.
        marks: what is special about it.
        limit: how long it may take, with its clause and where a breach goes.
    """

    name: str
    title: str
    who: tuple[tuple[str, str], ...]
    how: str
    when: str
    marks: tuple[str, ...]
    limit: str
    clause: str
    goes: str


@dataclass(frozen=True)
class Span:
    """A clock on the time line: from when to when, also in units of the line."""

    clock: str
    title: str
    begins: datetime
    due: datetime
    x: int
    width: int
    clause: str


@dataclass(frozen=True)
class TimeLine:
    """Deadlines of a form that is filed now and signed at the last moment everywhere.

    Args:
        walked: how it went.
    """

    filed: datetime
    ends: datetime
    spans: tuple[Span, ...]
    walked: Walked

    @property
    def outcome(self) -> str | None:
        """How it ended."""
        return None if self.walked.case is None else self.walked.case.outcome

    @property
    def stopped(self) -> Refused | None:
        """Why it went no further."""
        return self.walked.stopped


def stages(paper: Paper) -> list[Stage]:
    """Return the steps of a form in order."""
    return [_stage(paper, rule) for rule in paper.table.steps]


def _stage(paper: Paper, rule: StepRule) -> Stage:
    words, table = paper.words, paper.table
    if rule.decides is not None:
        own = table.authority or paper.policy.authority
        limits = ((rung, own.limits.get(rung)) for rung in paper.policy.authority_for(paper.name).rungs)
        who = [
            (words.word("role", rung), "" if limit is None else words.say("policy.up_to", amount=f"{limit:,.2f}"))
            for rung, limit in limits
        ]
        how = words.say("paper.decides", field=words.word("fact", rule.decides))
        clock = table.clock("approval")
    else:
        free: Mapping[str, tuple[str, ...]] = {}
        acting = [(one, free) for one in rule.any_of] or [(one.role, one.when) for one in rule.roles]
        who = [(role, condition(paper, when)) for one, when in acting for role in _roles(paper, one)]
        how = words.say("paper.any_of" if rule.any_of else "paper.all_of") if len(who) > 1 else ""
        clock = table.clock(f"step:{rule.name}")
    goes = "" if clock is None else words.word("role", clock.escalates_to)
    limit = "" if clock is None else limit_of(clock, words)
    clause = "" if clock is None else clock.clause
    return Stage(
        rule.name, rule.titles[words.language], tuple(who), how, condition(paper, rule.when),
        tuple(_marks(rule, words)), limit, clause, goes,
    )  # fmt: skip


def _roles(paper: Paper, one: str) -> Iterable[str]:
    if one.startswith(BY_FIELD):
        return [paper.words.say("paper.role_of", field=paper.words.word("fact", one.removeprefix(BY_FIELD)))]
    return [paper.words.word("role", role) for role in paper.policy.expand((one,))]


def roles_said(paper: Paper, names: Sequence[str]) -> str:
    """Return roles as people read them, also those that a field names."""
    return paper.words.join(role for one in names for role in _roles(paper, one))


def _marks(rule: StepRule, words: FormTranslations) -> Iterable[str]:
    if rule.act == "opinion":
        yield words.say("paper.opinion")
    if rule.fills:
        yield words.say("paper.fills", fields=words.words("fact", rule.fills))
    if rule.own:
        yield words.say("paper.own")
    if rule.superior:
        yield words.say("paper.superior")
    if not rule.refusable:
        yield words.say("paper.not_refusable")


def condition(paper: Paper, when: Mapping[str, tuple[str, ...]]) -> str:
    """Return a condition as people read it; empty without one."""
    words, fields = paper.words, paper.table.fields
    return words.join(
        f"{words.word('fact', name)}: {' / '.join(value_said(paper, fields[name], value) for value in values)}"
        for name, values in when.items()
    )


def value_said(paper: Paper, rule: FieldRule, value: str) -> str:
    """Return a value that a condition names as people read it."""
    match rule.type:
        case "choice":
            return paper.words.choice(rule, value)
        case "bool":
            return paper.words.say("app.yes" if value == "true" else "app.no")
        case "role":
            return paper.words.word("role", value)
    return value


def time_line(paper: Paper, now: datetime) -> TimeLine:
    """Return the deadlines of a form that is filed now, from the core itself.

    It is filed with made-up fields that ask for as many steps as possible, and every step is signed at its limit.
    """
    filer = Actor(FILER, paper.policy.expand(paper.table.files)[0])
    walked = at_the_limits(paper, sample_of(paper.table, paper.policy, now, filer.role), filer, now)
    if walked.case is None:
        return TimeLine(now, now, (), walked)
    told = walked.case.explain(walked.case.events[-1].at)
    clocks = [(one, _instant(one["started_at"]), _instant(one["due"])) for one in told]
    filed = paper.policy.local(now)
    ends = max((due for _, _, due in clocks), default=filed)
    length = max((ends - filed).total_seconds(), 1)

    def place(at: datetime) -> int:
        return round(min(max((at - filed).total_seconds() / length, 0), 1) * LINE)

    spans = [
        Span(
            one["clock"], paper.words.word("clock", one["clock"]), begins, due,
            place(begins), max(place(due) - place(begins), 4), one["clause"],
        )
        for one, begins, due in clocks
    ]  # fmt: skip
    # The whole stands last, under the steps that it is made of.
    spans.sort(key=lambda span: (span.clock == WHOLE, span.begins, span.due))
    return TimeLine(filed, ends, tuple(spans), walked)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
