"""The numbers: a policy is a validated TOML file, each number with its clause.

Reading a file is not done here; `parse` takes the text, so that a case can carry the very text it
was started with.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, Any, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from cases.authority import Authority
from cases.policy.inheritance import layered
from cases.vocabulary.commands import Command
from cases.vocabulary.events import EventType, canonical
from cases.vocabulary.facts import Model, PositiveYuan, Role, Severity, ShippingRoute, Yuan
from cases.vocabulary.refusals import Refused, invalid
from cases.working_calendar import CalendarYears, WorkingCalendar

# A century is beyond any rule, and within it no arithmetic of instants fails.
LONGEST = timedelta(days=36_525)
_DURATION = re.compile(
    r"P(?=.)((?P<days>\d+)D)?(T(?=.)((?P<hours>\d+)H)?((?P<minutes>\d+)M)?((?P<seconds>\d+)S)?)?", re.ASCII
)


def _duration(value: Any) -> timedelta:
    # Months and years have no fixed length, and a bare number does not say its unit.
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        parts = {unit: int(number) for unit, number in found.groupdict("0").items()}
        if max(parts.values()) <= LONGEST.total_seconds() and timedelta() < (span := timedelta(**parts)) <= LONGEST:
            return span
    raise ValueError("a duration is days, hours, minutes, seconds like P1D, PT12H or PT5M, above 0, at most P36525D")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Days = Annotated[int, Field(gt=0, le=LONGEST.days)]
Percent = Annotated[int, Field(gt=0, lt=100)]


class ClockRule(Model):
    """One deadline: exactly one of the limits, or none where a command names the moment.

    ``elapsed`` is exact elapsed time, ``calendar_days`` ends 23:59:59 of the last day (T1),
    ``working_time`` counts only the calendar's working windows, ``next_opening`` is the start of the
    next of them (S3-3.1.7).
    """

    elapsed: Duration | None = None
    calendar_days: Days | None = None
    working_time: Duration | None = None
    next_opening: bool = False
    pausable: bool = False
    extendable: bool = False
    warn_percent: tuple[Percent, ...] = ()
    escalates_to: Role | None = None
    clause: str

    @property
    def unlimited(self) -> bool:
        """Whether the rule has no limit of its own."""
        return not any((self.elapsed, self.calendar_days, self.working_time, self.next_opening))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        limits = [self.elapsed, self.calendar_days, self.working_time, self.next_opening or None]
        if sum(limit is not None for limit in limits) > 1:
            raise ValueError("give only one of elapsed, calendar_days, working_time, next_opening")
        if self.pausable and self.next_opening:
            raise ValueError("a clock until the next opening cannot be paused")
        if self.pausable and self.calendar_days is not None:
            raise ValueError("a clock in calendar days cannot be paused (T1)")
        if list(self.warn_percent) != sorted(set(self.warn_percent)):
            raise ValueError("warn_percent must rise")
        return self


class Reminders(Model):
    """Growing intervals at the top rung: ``first``, then times ``factor``, at most ``longest``."""

    first: Duration
    factor: Annotated[int, Field(ge=1)]
    longest: Duration
    clause: str

    def interval(self, count: int) -> timedelta:
        """The wait before reminder number ``count`` (from 1)."""
        # The exponent is bounded so that a case reminded for years stays a small number.
        times: int = self.factor ** min(count - 1, 32)
        return self.first * times if times <= self.longest // self.first else self.longest


class LadderRule(Model):
    """The rungs, lowest first, and how the top one is reminded."""

    rungs: Annotated[tuple[Role, ...], Field(min_length=1)]
    clause: str
    reminders: Reminders

    @field_validator("rungs")
    @classmethod
    def _distinct(cls, rungs: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(rungs)) != len(rungs):
            raise ValueError("a rung is named twice")
        return rungs


class AuthorityRule(Model):
    """Up to how much each rung may decide, in yuan; a rung without a limit decides any amount."""

    limits: dict[Role, Yuan]
    clause: str


class SeverityRule(Model):
    """The rung at which a case of each severity starts (S1-2.5)."""

    starts_at: dict[Severity, Role]
    clause: str


class Route(Model):
    """Who is told of what: for each event of a type in ``on`` whose data match ``when``.

    ``to`` names roles, ``holder`` (who holds the case now), ``role`` (the role in the event's
    data) or ``ROLE+`` (that rung and all above).
    """

    name: Role
    on: Annotated[tuple[EventType, ...], Field(min_length=1)]
    kinds: tuple[str, ...] = ()
    when: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    facts: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    to: Annotated[tuple[str, ...], Field(min_length=1)]
    clause: str


class DigestRule(Model):
    """More than so many notices to one recipient within so much time come as one list."""

    more_than: Annotated[int, Field(ge=1)]
    within: Duration
    clause: str


class SwapLimits(Model):
    """What a shift swap must keep to (S1-1.7).

    Args:
        per_month: in how many swaps a person may give or take a shift of one calendar month.
        rest: two shifts follow each other when less than this lies between them.
    """

    per_month: Annotated[int, Field(gt=0)]
    rest: Duration
    clause: str


class CaseRule(Model):
    """What a kind of case has of its own: its clocks and its times after the solution."""

    clocks: dict[str, ClockRule]
    # A resolved case may be reopened, and closes by itself, at the end of this many days.
    reopen_days: Days
    reopen_clause: str
    follow_ups: Annotated[int, Field(ge=0)] = 0
    most_options: Annotated[int, Field(gt=0)] = 4
    validity_years: Annotated[int, Field(gt=0, le=100)] | None = None
    # Who must be called first outside working hours (S3-3.1.7).
    phone: tuple[Role, ...] = ()
    # How often a customer is told how things stand, after the first time.
    inform_every: Duration | None = None
    # Goods in excess are reported within this time; from this many yuan on damage is very large.
    excess_report_within: Duration | None = None
    witnesses: tuple[Role, ...] = ()
    very_large_from: Yuan | None = None
    # Who signs, step by step; within a step in any order. Who is late is reminded (S3-4.3.1.10).
    signatures: tuple[Annotated[tuple[Role, ...], Field(min_length=1)], ...] = ()
    reminders: Reminders | None = None
    # When a payout that failed is tried again.
    payout_retries: Reminders | None = None
    # Who may send what to this kind, where that differs from [permissions].
    permissions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    # How long before the end of a shift the relief is told, and how long after it the last look for
    # cases is taken (S4-3.3.1).
    tell_before: Duration | None = None
    look_again: Duration | None = None
    limits: SwapLimits | None = None


class CompensationRule(Model):
    """The terms of compensation (S0-A): multiples, limits and the switches of the rulebook's Q."""

    claim_years: Annotated[int, Field(gt=0, le=100)]
    # An uninsured loss: the lower of so many base freights and so many yuan for each kg.
    fee_multiple: Annotated[int, Field(gt=0, le=1000)]
    yuan_per_kg: PositiveYuan
    # From the promised moment, in days of 24 hours; without a number a delay never becomes a loss.
    complete_delay_days: dict[ShippingRoute, Days]
    # From the company's answer to its proposal.
    proposal_days: dict[ShippingRoute, Days]
    cap_at_proven_loss: bool
    partial_refunds_fee: bool
    inquiry_preserves_claim: bool
    # The lowest rung that may give more than the formula.
    discretion_from: Role
    clause: str

    @field_validator("proposal_days")
    @classmethod
    def _every_route(cls, days: dict[ShippingRoute, int]) -> dict[ShippingRoute, int]:
        for route in get_args(ShippingRoute):
            if route not in days:
                raise ValueError(f"{route} is missing")
        return days


Window = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class CalendarRule(Model):
    """Working windows of each weekday (several a day allowed) and the published years."""

    windows: dict[str, tuple[Window, ...]]
    years: CalendarYears
    clause: str

    @field_validator("windows")
    @classmethod
    def _weekdays(cls, windows: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for day in windows:
            if day not in WEEKDAYS:
                raise ValueError(f"{day} is not one of {', '.join(WEEKDAYS)}")
        return windows


class Policy(Model):
    """All numbers of the rules. Build one with `from_toml` or `from_document`."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    zone: str
    roles: tuple[Role, ...]
    ladder: LadderRule
    authority: AuthorityRule
    severity: SeverityRule
    calendar: CalendarRule
    permissions: dict[str, tuple[str, ...]]
    complaint: CaseRule
    inquiry: CaseRule
    claim: CaseRule
    exception: CaseRule
    # Cases pinned their policy before there were summaries, handovers and swaps.
    summary: CaseRule | None = None
    handover: CaseRule | None = None
    swap: CaseRule | None = None
    compensation: CompensationRule
    notice: tuple[Route, ...] = ()
    # Without it, every notice goes out by itself.
    digest: DigestRule | None = None
    # The canonical JSON of the file: what a case carries, and what its hash is taken over.
    document: str = ""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("not a time zone of the tz database, for example Asia/Shanghai") from None
        return zone

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for path, value, what, allowed in self._named():
            if value not in allowed:
                raise ValueError(f"{path} = {value!r} is not a {what}; allowed: {', '.join(allowed)}")
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for level in get_args(Severity):
            if level not in self.severity.starts_at:
                raise ValueError(f"severity.starts_at.{level} is missing")
        for kind in self.kinds:
            names, clocks = CLOCKS[kind], self.rule(kind).clocks
            for name in names:
                rule = clocks.get(name)
                if rule is None and name != "rung":
                    raise ValueError(f"{kind}.clocks.{name} is missing")
                if rule is not None and rule.unlimited and name not in GIVEN:
                    raise ValueError(
                        f"{kind}.clocks.{name} has no limit; give one of elapsed, calendar_days, working_time"
                    )
                if rule is not None and rule.working_time is not None and not any(self.calendar.windows.values()):
                    raise ValueError(f"{kind}.clocks.{name}.working_time needs hours in calendar.windows")
        if self.summary is not None:
            self._complete_summary(self.summary)
        if self.handover is not None:
            for name in ("tell_before", "look_again"):
                if getattr(self.handover, name) is None:
                    raise ValueError(f"handover.{name} is missing")
        if self.swap is not None and self.swap.limits is None:
            raise ValueError("swap.limits is missing")
        top = self.ladder.rungs[-1]
        if top in self.authority.limits:
            # An amount above it could never be decided.
            raise ValueError(f"authority.limits.{top}: the top rung decides any amount and has no limit")
        return self

    def _complete_summary(self, rule: CaseRule) -> None:
        if not rule.signatures:
            raise ValueError("summary.signatures is missing: who signs, step by step")
        if rule.reminders is None:
            raise ValueError("summary.reminders is missing")
        for command in ("sign", "send_back"):
            for role in (role for step in rule.signatures for role in step):
                if role not in self.permitted(command, "summary"):
                    raise ValueError(f"permissions.{command}: {role} is missing, who signs by summary.signatures")

    def _named(self) -> Iterator[tuple[str, str, str, Iterable[str]]]:
        """What the file names: path, value, what it must be, and what is allowed."""
        rungs = self.ladder.rungs
        roles = (*self.all_roles, *(f"{rung}+" for rung in rungs), "ladder")
        known = tuple(sorted(model.NAME for model in Command.__subclasses__()))
        tables = {"permissions": self.permissions, **{f"{k}.permissions": self.rule(k).permissions for k in self.kinds}}
        for path, table in tables.items():
            for command, allowed in table.items():
                yield f"{path}.{command}", command, "command", known
                yield from ((f"{path}.{command}", role, "role", roles) for role in allowed)
        for route in self.notice:
            yield from ((f"notice.{route.name}.to", role, "role", (*roles, "holder", "role")) for role in route.to)
            yield from ((f"notice.{route.name}.kinds", kind, "kind", KINDS) for kind in route.kinds)
        yield from ((path, role, "rung", rungs) for path, role in self._named_rungs())
        for kind in self.kinds:
            called, present = self.rule(kind).phone, self.rule(kind).witnesses
            yield from ((f"{kind}.phone", role, "role", self.all_roles) for role in called)
            yield from ((f"{kind}.witnesses", role, "role", self.all_roles) for role in present)
        for kind in self.kinds:
            yield from ((f"{kind}.clocks.{name}", name, "clock", CLOCKS[kind]) for name in self.rule(kind).clocks)
        for number, step in enumerate(self.summary.signatures if self.summary else ()):
            yield from ((f"summary.signatures.{number}", role, "role", self.all_roles) for role in step)

    def _named_rungs(self) -> Iterator[tuple[str, str]]:
        yield from ((f"severity.starts_at.{level}", rung) for level, rung in self.severity.starts_at.items())
        yield from ((f"authority.limits.{rung}", rung) for rung in self.authority.limits)
        yield "compensation.discretion_from", self.compensation.discretion_from
        for kind in self.kinds:
            for name, rule in self.rule(kind).clocks.items():
                if rule.escalates_to is not None:
                    yield f"{kind}.clocks.{name}.escalates_to", rule.escalates_to

    @property
    def all_roles(self) -> tuple[str, ...]:
        """Every role a command may name: the rungs and the others."""
        return self.ladder.rungs + self.roles

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the document."""
        return hashlib.sha256(self.document.encode()).hexdigest()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of case that it has rules for."""
        return tuple(kind for kind in KINDS if getattr(self, kind) is not None)

    def rule(self, kind: str) -> CaseRule:
        """The rules of a kind of case.

        Raises:
            Refused: code ``bad_policy``, it has none.
        """
        rule: CaseRule | None = getattr(self, kind)
        if rule is None:
            raise Refused("bad_policy", f"policy = {self.name!r} has no section [{kind}]")
        return rule

    @cached_property
    def authority_of(self) -> Authority:
        """Who may decide how much."""
        return Authority(self.ladder.rungs, self.authority.limits)

    @cached_property
    def working(self) -> WorkingCalendar:
        """The working calendar; it also knows the policy's zone."""
        windows = [[_window(text) for text in self.calendar.windows.get(day, ())] for day in WEEKDAYS]
        return WorkingCalendar(ZoneInfo(self.zone), windows, self.calendar.years)

    def local(self, instant: datetime) -> datetime:
        """The instant in the policy's zone, with a fixed offset so that arithmetic is exact."""
        return self.working.local(instant)

    @cached_property
    def _permitted(self) -> dict[tuple[str | None, str], frozenset[str]]:
        tables: dict[str | None, dict[str, tuple[str, ...]]] = {None: self.permissions}
        tables.update((kind, self.rule(kind).permissions) for kind in self.kinds)
        return {
            (kind, command): frozenset(self.expand(allowed))
            for kind, table in tables.items()
            for command, allowed in table.items()
        }

    def permitted(self, command: str, kind: str | None = None) -> frozenset[str]:
        """The roles that may send a command to a kind of case; the rungs where the policy says nothing of it."""
        of_all = self._permitted.get((None, command), frozenset(self.ladder.rungs))
        return self._permitted.get((kind, command), of_all)

    def expand(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Roles with ``ladder`` and ``ROLE+`` written out, in ladder order, each once."""
        found: dict[str, None] = {}
        for name in names:
            if name == "ladder":
                found.update(dict.fromkeys(self.ladder.rungs))
            elif name.endswith("+"):
                start = self.ladder.rungs.index(name[:-1])
                found.update(dict.fromkeys(self.ladder.rungs[start:]))
            else:
                found[name] = None
        return tuple(found)

    def routes(self, kind: str, event: EventType) -> tuple[Route, ...]:
        """The notice routes that an event of a kind of case may take."""
        return self._routes.get((kind, event), ())

    @cached_property
    def _routes(self) -> dict[tuple[str, EventType], tuple[Route, ...]]:
        table: dict[tuple[str, EventType], tuple[Route, ...]] = {}
        for route in self.notice:
            for kind in route.kinds or KINDS:
                for event in route.on:
                    table[kind, event] = (*table.get((kind, event), ()), route)
        return table

    @classmethod
    def from_toml(cls, text: str, years: Mapping[str, Any] | None = None, bases: Sequence[str] = ()) -> Policy:
        """Read a policy file.

        Args:
            text: the TOML text.
            years: published calendar years for a file that brings none of its own.
            bases: the texts of the policies that it extends (`cases.policy.inheritance`), the lowest first.

        Raises:
            Refused: code ``bad_policy``, naming the key path, the value and what is allowed.
        """
        data = layered((*bases, text))
        calendar = data.get("calendar")
        if isinstance(calendar, dict):
            calendar.setdefault("years", dict(years or {}))
        return cls.from_document(canonical(json.loads(json.dumps(data, default=_plain))))

    @classmethod
    def from_document(cls, document: str) -> Policy:
        """Build a policy from its canonical JSON; the same text gives the same object.

        Raises:
            Refused: code ``bad_policy``.
        """
        return _from_document(document)


# Clocks that are due when a command says, so that they may have no limit of their own.
GIVEN = frozenset({"promise", "proposal", "handover", "swap"})
# The clocks of each kind. A rung clock is optional.
CLOCKS = {
    "complaint": (
        "rung", "report", "interim_reply", "answer", "resolution", "legal_limit", "promise", "approval", "follow_up",
    ),
    "claim": ("rung", "claim_answer", "proposal", "payout", "promise", "approval"),
    "exception": (
        "rung", "report", "report_mail", "phone_notice", "customer_reply", "investigation", "promise", "approval",
    ),
    "inquiry": ("rung", "inquiry", "promise", "approval"),
    "summary": ("signature",),
    "handover": ("handover",),
    "swap": ("swap",),
}  # fmt: skip
KINDS = tuple(CLOCKS)


@lru_cache(maxsize=64)
def _from_document(document: str) -> Policy:
    try:
        policy = Policy.model_validate({**json.loads(document), "document": document})
        policy.working  # noqa: B018 - a wrong calendar must fail here, not in a running case
    except ValidationError as error:
        refusal = invalid(error, "policy")
        raise Refused("bad_policy", refusal.message) from None
    return policy


def _plain(value: Any) -> str:
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    raise TypeError(f"no plain JSON for {value!r}")


def _window(text: str) -> tuple[time, time]:
    start, end = text.split("-")
    return time.fromisoformat(start), time.fromisoformat(end)
